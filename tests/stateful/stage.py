"""Runs, the meshes that drive them, and what they are to come to, played by a test.

The test is Oban: it takes jobs from the table and drives them, early, twice or never. Whatever it
does to the meshes it does to the models too; `check` compares the two.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from squid_mesh import Mesh
from squid_mesh.engine.graph import Graph
from squid_mesh.engine.states import RunStatus, StepStatus
from squid_mesh.runtime.intake import PutBack
from squid_mesh.runtime.jobs import Job
from squid_mesh.runtime.process import Process
from tests.rows import everything
from tests.stateful import tables
from tests.stateful.conductor import Body, Conductor, Delivery, How, Outcome
from tests.stateful.model import MOST_INTERRUPTIONS, SUPPLIED, Model
from tests.stateful.workflows import Number, Shape

TICK = timedelta(seconds=100)
"""The clock moves by whole ticks; what is due is due between two, or is due now."""

MOST_SWEEPS = 60
"""More than any example needs to its end."""

_TAKE = """
update oban_jobs set
  state = 'executing', attempt = attempt + 1, attempted_at = timezone('UTC', now())
where id = %s and state in ('available', 'scheduled') returning id
"""
_BACK = {
    None: "update oban_jobs set state = 'completed' where id = %s and state = 'executing'",
    PutBack: "update oban_jobs set state = 'scheduled' where id = %s and state = 'executing'",
}
_LOST = {
    "deleted": "delete from oban_jobs where id = %s",
    "completed": "update oban_jobs set state = 'completed' where id = %s",
    "discarded": "update oban_jobs set state = 'discarded' where id = %s",
    "left by a dead process": "update oban_jobs set state = 'executing',"
    " attempted_at = timezone('UTC', now()) - interval '3 hours' where id = %s",
}
LOSSES = tuple(_LOST)
_FETCHABLE = """
select step from squid_mesh.steps s join oban_jobs j on j.id = s.job_id
where s.run_id = %s and s.status = 'pending' and j.state = 'available'
"""
_SILENT = "update squid_mesh.workers set {} = now() - interval '9 hours' where boot = %s"
_ALIVE = "update squid_mesh.workers set alive_at = now(), loop_at = now() where boot = %s"
_BREAK = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name = 'squid_mesh committer'
"""


@dataclass(eq=False)
class Node:
    """A process with a mesh. `silent` since others think that it is dead."""

    name: str
    mesh: Mesh
    boot: int = 0
    is_open: bool = False
    is_silent: bool = False

    def _repr_pretty_(self, printer: Any, _cycle: object) -> None:
        printer.text(f"{self.name} as {self.boot}")

    @property
    def process(self) -> Process:
        """The inside of an open mesh."""
        return self.mesh._process


@dataclass(frozen=True)
class Known:
    """A job that there is or was."""

    run_id: UUID
    step: str
    id: int


class Stage:
    """One example."""

    def __init__(
        self, pool: AsyncConnectionPool[Any], admin: AsyncConnection[Any], shapes: list[Shape]
    ) -> None:
        self.admin = admin
        self.workflows = [shape.build(f"Workflow{n}") for n, shape in enumerate(shapes)]
        self.conductor = Conductor()
        self.nodes = [Node(name, self._mesh(pool, name)) for name in ("left", "right")]
        self.now = 0.0
        self.models: dict[UUID, Model] = {}
        self.keys: dict[tuple[int, str], tuple[UUID, int]] = {}
        self.jobs: dict[int, Known] = {}
        self.deliveries: list[Delivery] = []
        self.is_broken = False
        self.dead: set[int] = set()
        self.orphans: set[tuple[UUID, str, int]] = set()
        self.stale: set[Delivery] = set()

    def _mesh(self, pool: AsyncConnectionPool[Any], name: str) -> Mesh:
        return Mesh(
            pool,
            oban=Oban(pool=pool, name=f"{name}_{uuid4().hex}", queues={}),
            workflows=self.workflows,
            name=name,
            resources=[self.conductor],
            grace=timedelta(0),
            heartbeat=timedelta(hours=1),
            lease=timedelta(hours=2),
            blocked=timedelta(hours=4),
            max_interruptions=MOST_INTERRUPTIONS,
        )

    # what there is

    @property
    def open(self) -> list[Node]:
        """The meshes that are open."""
        return [node for node in self.nodes if node.is_open]

    @property
    def live(self) -> list[Delivery]:
        """The deliveries with a body under way."""
        return [d for d in self.deliveries if d.body is not None]

    def holds(self, delivery: Delivery) -> bool:
        """Whether the claim of a delivery's body still is its own."""
        body = delivery.body
        assert body is not None
        model = self.models[body.run_id]
        holder = (model.claims.get(body.step), model.run.attempts[body.step])
        return holder == (delivery.boot, body.attempt)

    def siblings(self, delivery: Delivery) -> list[Delivery]:
        """Bodies of the same run that can end together with this one."""
        assert delivery.body is not None
        run_id = delivery.body.run_id
        return [
            other
            for other in self.live
            if other.body is not None
            and other.body.run_id == run_id
            and self.holds(other)
            and (other.steps, other.job.queue) == (delivery.steps, delivery.job.queue)
        ]

    # meshes

    async def open_mesh(self, node: Node) -> None:
        """Open a mesh. Its sweeps and its heartbeat are the test's own to make."""
        await node.mesh.start()
        node.is_open, node.is_silent = True, False
        node.boot = node.process.ledger.boot
        await node.process._recovery.stop()
        await node.process._heartbeat.stop()

    async def close_mesh(self, node: Node, how: How | None) -> None:
        """Close it with bodies under way, which are cancelled, or come to something too late."""
        await node.mesh.stop()
        node.is_open = False
        self.dead.add(node.boot)
        for delivery in [d for d in self.deliveries if d.boot == node.boot]:
            if how is None or delivery.body is None:
                await self.drop(delivery)
            else:
                self._orphan(delivery)
                delivery.tell(how)
                assert await delivery.settled() is None
                assert isinstance(delivery.outcome, PutBack)
                await self._acknowledge(delivery)
                self.deliveries.remove(delivery)

    async def drain_mesh(self, node: Node, how: How) -> None:
        """Close it in order: its bodies end, and what follows them is handed over."""
        draining = asyncio.create_task(node.process.driver.intake.drain(20.0))
        await asyncio.sleep(0)
        for job in list(self.jobs.values())[-1:]:
            assert isinstance(await node.process.driver.drive(self._job(job, "any")), PutBack)
        for delivery in [d for d in self.live if d.boot == node.boot]:
            await self.finish(delivery, how, draining=True)
        assert await draining
        await self.close_mesh(node, None)

    async def silence(self, node: Node, column: str) -> None:
        """Others think that it is dead, or that its loop is; it isn't."""
        await self.admin.execute(_SILENT.format(column).encode(), (node.boot,))
        node.is_silent = True
        self.dead.add(node.boot)

    async def revive(self, node: Node) -> None:
        """It beats again."""
        await self.admin.execute(_ALIVE, (node.boot,))
        node.is_silent = False
        self.dead.discard(node.boot)

    async def break_connections(self) -> None:
        """All committers lose theirs, between two flushes."""
        await self.admin.execute(_BREAK)
        self.is_broken = True

    async def sweep(self, node: Node) -> None:
        """Time passes, and a mesh looks for what is stuck."""
        await self.pass_time(1)
        for run_id, model in self.models.items():
            lost = [s for s, boot in model.claims.items() if self._is_lost(run_id, s, boot, node)]
            for step in sorted(lost, key=lambda s: model.policy_of(s) != "retry"):
                model.interrupt(step)
            model.jobless -= {s for s in model.jobless if model.due[s] < self.now}
        await node.process._recovery._tick()
        self.stale = {delivery for delivery in self.live if not self.holds(delivery)}

    def _is_lost(self, run_id: UUID, step: str, boot: int, sweeper: Node) -> bool:
        """Whether a boot is thought dead; of its own the sweeper knows what it holds."""
        if boot != sweeper.boot:
            return boot in self.dead
        bodies = [d.body for d in self.live if d.boot == boot]
        return not any(b is not None and (b.run_id, b.step) == (run_id, step) for b in bodies)

    async def pass_time(self, ticks: int) -> None:
        """The clock moves on."""
        by = ticks * TICK
        await self.admin.execute("update squid_mesh.clock set shift = shift + %s", (by,))
        self.now += by.total_seconds()

    # runs

    async def start(self, workflow: int, number: int, key: str | None, node: Node) -> None:
        """Start a run, or find the one that holds the key."""
        before = await everything(self.admin)
        cls = self.workflows[workflow]
        run = await node.mesh.start_run(cls, Number(number=number), key=key)
        if key is not None and (workflow, key) in self.keys:
            held, _ = self.keys[workflow, key]
            assert (run.id, run.created, run.status) == (held, False, self.models[held].status)
            assert await everything(self.admin) == before
            return
        assert (run.created, run.status) == (True, RunStatus.PENDING)
        self._started(run.id, workflow, number, key)

    def _started(self, run_id: UUID, workflow: int, number: int, key: str | None) -> None:
        definition = self.workflows[workflow].__definition__
        self.models[run_id] = Model(definition, lambda: self.now)
        if key is not None:
            self.keys[workflow, key] = (run_id, number)

    async def start_with_host(self, workflow: int, count: int, node: Node, *, commit: bool) -> None:
        """Start runs in a host's transaction, which commits or doesn't."""
        before = await everything(self.admin)
        cls = self.workflows[workflow]
        async with self._host(commit=commit) as host:
            runs = await node.mesh.start_runs(cls, [Number()] * count, conn=host)
            assert await everything(self.admin) == before
        if commit:
            for run in runs:
                self._started(run.id, workflow, 0, None)
        else:
            assert await everything(self.admin) == before

    @asynccontextmanager
    async def _host(self, *, commit: bool) -> AsyncGenerator[AsyncConnection[Any]]:
        async with (
            await AsyncConnection.connect(self.admin.info.dsn) as host,
            host.transaction(force_rollback=not commit),
        ):
            yield host

    async def cancel(self, run_id: UUID, node: Node) -> None:
        """Cancel a run that hasn't completed or failed."""
        before = await everything(self.admin)
        again = self.models[run_id].run.cancelled
        run = await node.mesh.cancel_run(run_id)
        self.models[run_id].cancel()
        assert run.status == self.models[run_id].status
        if again:
            assert await everything(self.admin) == before

    async def unblock(self, gate: tuple[UUID, str], node: Node) -> None:
        """Let a pause go, wherever."""
        run_id, step = gate
        model = self.models[run_id]
        run = await node.mesh.unblock_run(run_id, step=None if len(model.gates) == 1 else step)
        model.unblock(step)
        assert run.status == model.status

    async def resolve(self, interrupted: tuple[UUID, str], how: Any, node: Node) -> None:
        """Decide about an interrupted step, wherever."""
        run_id, step = interrupted
        model = self.models[run_id]
        output = SUPPLIED if how == "complete" else None
        run = await node.mesh.resolve_step(run_id, how, output=output, step=step, actor="ops")
        model.resolve(step, how)
        assert run.status == model.status

    async def cancel_with_host(self, run_id: UUID, node: Node, how: How, *, commit: bool) -> None:
        """Cancel in a host's transaction; a body of the run and one of another end meanwhile."""
        model = self.models[run_id]
        own = [d for d in self.live if d.job.run_id == run_id and self.holds(d)][:1]
        others = [d for d in self.live if d.job.run_id != run_id][:1]
        bodies = [d.body for d in own]
        async with self._host(commit=commit) as host:
            await node.mesh.cancel_run(run_id, conn=host)
            await self._look(run_id)
            for delivery in own:
                delivery.tell(how)
            for other in others:
                await self.finish(other, How.REST)
        if commit:
            model.cancel()
        for delivery, body in zip(own, bodies, strict=True):
            assert body is not None
            model.finish(delivery, body.step, how)
            await self._rest(delivery)

    # jobs and bodies

    async def find_jobs(self) -> None:
        """Note every job that there is."""
        cursor = await self.admin.execute("select id, args->>'run', args->>'step' from oban_jobs")
        for job, run_id, step in await cursor.fetchall():
            self.jobs.setdefault(job, Known(UUID(run_id), step, job))

    async def _look(self, run_id: UUID) -> None:
        """Tell a run's model which of its steps' jobs can be fetched."""
        cursor = await self.admin.execute(_FETCHABLE, (run_id,))
        self.models[run_id].fetchable = {step for (step,) in await cursor.fetchall()}

    def to_come(self) -> list[Known]:
        """Jobs of steps that are ready."""
        return [
            job
            for job in self.jobs.values()
            if job.run_id in self.models and self.models[job.run_id].is_due(job.step)
        ]

    def _job(self, known: Known, queue: str) -> Job:
        return Job(run_id=known.run_id, step=known.step, queue=queue, id=known.id)

    async def deliver(self, known: Known, node: Node, then: list[How]) -> None:
        """A job comes to a mesh, its first time or once more; `then` is what its bodies do."""
        model = self.models[known.run_id]
        cursor = await self.admin.execute(_TAKE, (known.id,))
        is_owner = await cursor.fetchone() is not None
        job = self._job(known, model.queue_of(known.step))
        delivery = Delivery(job, node.boot, is_owner)
        await self._look(known.run_id)
        claims, early = model.is_due(known.step), model.is_early(known.step)
        if claims:
            model.claim(delivery, known.step)
        self.deliveries.append(delivery)
        delivery.begin(node.process.driver.drive(job))
        body = await self._rest(delivery)
        if not claims:
            assert body is None, f"{body} begins, though nothing is due"
            assert isinstance(delivery.outcome, PutBack) == early
        await self.go_on(delivery, then)

    async def go_on(self, delivery: Delivery, hows: list[How]) -> None:
        """One body of a delivery after the other comes to something."""
        self.is_broken = False
        for how in hows:
            if delivery.body is not None:
                await self.finish(delivery, how)

    async def finish(self, delivery: Delivery, how: How, *, draining: bool = False) -> None:
        """A body comes to something; a claim that was taken away makes it nothing."""
        body = delivery.body
        assert body is not None
        holds = self.holds(delivery)
        before = {} if holds else await everything(self.admin)
        await self._look(body.run_id)
        delivery.tell(how)
        if holds:
            self.models[body.run_id].finish(delivery, body.step, how, draining=draining)
        going_on = await delivery.settled()
        if not holds:
            assert going_on is None
            assert await everything(self.admin) == before
        await self._rest(delivery)

    async def finish_together(self, deliveries: list[Delivery], how: How) -> None:
        """Siblings end at the same time, and take nothing along but joins.

        Who of them would take what is nobody's to predict: laws say what must be so.
        """
        with patch.object(Graph, "beside", lambda *_: ()):
            await self._finish_together(deliveries, how)

    async def _finish_together(self, deliveries: list[Delivery], how: How) -> None:
        ends = [(d, d.body.step, how) for d in deliveries if d.body is not None]
        run_id = deliveries[0].job.run_id
        for delivery in deliveries:
            delivery.tell(how)
        for delivery in deliveries:
            await self._rest(delivery)
        cursor = await self.admin.execute(
            "select step, claim from squid_mesh.steps where run_id = %s", (run_id,)
        )
        claims: dict[str, int | None] = dict(await cursor.fetchall())
        self.models[run_id].finish_together(ends, claims.__getitem__)

    async def drop(self, delivery: Delivery) -> None:
        """Its process forgets a body, but lives on."""
        self._orphan(delivery)
        await delivery.drop()
        self.deliveries.remove(delivery)

    def _orphan(self, delivery: Delivery) -> None:
        if delivery.body is not None and self.holds(delivery):
            self.orphans.add((delivery.job.run_id, delivery.body.step, delivery.boot))

    async def lose(self, known: Known, how: str) -> None:
        """A job of a ready step gets lost."""
        await self.admin.execute(_LOST[how].encode(), (known.id,))
        cursor = await self.admin.execute(
            "select 1 from squid_mesh.steps"
            " where job_id = %s and status in ('pending', 'scheduled')",
            (known.id,),
        )
        if await cursor.fetchone() is not None:
            self.models[known.run_id].jobless.add(known.step)

    async def _rest(self, delivery: Delivery) -> Body | None:
        """Wait until a delivery is in a body or over."""
        body = await delivery.settled()
        if body is not None:
            return body
        await self._acknowledge(delivery)
        self.deliveries.remove(delivery)
        return None

    async def _acknowledge(self, delivery: Delivery) -> None:
        """What Oban writes when a job is over."""
        outcome: Outcome = delivery.outcome
        if delivery.is_owner:
            back = _BACK[None if outcome is None else PutBack]
            await self.admin.execute(back.encode(), (delivery.job.id,))

    # comparing

    async def check(self) -> None:
        """The database is what it is to be, and every claim has its body."""
        await self.find_jobs()
        rows = await tables.read(self.admin)
        expected = {run_id: model.row() for run_id, model in self.models.items()}
        assert rows.keys() == expected.keys()
        for run_id, row in rows.items():
            assert tables.rounded(row, expected[run_id]) == expected[run_id]
        self._check_bodies()

    def _check_bodies(self) -> None:
        """A claim has its body, unless one was dropped; a body has its claim, or had it once."""
        self.stale &= set(self.live)
        held = {(d.job.run_id, d.body.step, d.boot) for d in self.live if d.body and self.holds(d)}
        claims = {
            (run_id, step, boot)
            for run_id, model in self.models.items()
            for step, boot in model.claims.items()
        }
        self.orphans &= claims
        assert claims - held == self.orphans
        assert {d for d in self.live if not self.holds(d)} == self.stale

    async def refuses(
        self, error: type[Exception], call: Callable[[Mesh], Awaitable[object]], node: Node
    ) -> None:
        """A call raises what is documented, and writes nothing."""
        before = await everything(self.admin)
        try:
            await call(node.mesh)
        except error:
            pass
        else:
            raise AssertionError(f"nothing was raised, not even {error.__name__}")
        assert await everything(self.admin) == before

    # the end

    async def go_on_to_the_end(self) -> None:
        """Whatever happened: every run ends, or waits for a person (law 10)."""
        for node in self.open:
            await self.revive(node)
        if not self.open:
            await self.open_mesh(self.nodes[0])
        stuck: list[object] = []
        for _ in range(MOST_SWEEPS):
            stuck = [m.row() for m in self.models.values() if not self._waits_for_nobody(m)]
            if not stuck:
                return
            await self._finish_all()
            for node in self.open:
                await self.sweep(node)
            await self.check()
            await self._drive_what_is_due()
        raise AssertionError(f"stuck: {stuck}")

    async def _drive_what_is_due(self) -> None:
        cursor = await self.admin.execute(
            "select id from oban_jobs where state in ('available', 'scheduled') order by id"
        )
        for (job,) in await cursor.fetchall():
            known = self.jobs[job]
            if not self.models[known.run_id].is_due(known.step):
                continue
            await self.deliver(known, self.open[0], [])
            await self._finish_all()

    async def _finish_all(self) -> None:
        for delivery in self.live:
            while delivery.body is not None:
                await self.finish(delivery, How.REST)

    @staticmethod
    def _waits_for_nobody(model: Model) -> bool:
        held = model.run.named(StepStatus.PAUSED)
        return model.is_over or (bool(held) and model.status is RunStatus.PAUSED)

    async def close(self) -> None:
        """Leave nothing behind."""
        for node in self.open:
            await self.close_mesh(node, None)
        await tables.empty(self.admin)
