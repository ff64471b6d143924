"""Situations that runs really get into, one for each reason: what `explain_run` is asked about."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from oban import Oban

from squid_mesh import (
    Cause,
    Constant,
    Explanation,
    Mesh,
    NoPayload,
    Payload,
    Reason,
    Retry,
    StepContext,
    StepError,
    Window,
    Workflow,
    approval,
    complete,
    context,
    cron,
    pause,
    resource,
    step,
    wait,
)
from squid_mesh.runtime import scheduling
from tests.clock import advance, every, now, wake_jobs
from tests.laws.journal import Journal, install
from tests.laws.processes import worker
from tests.laws.versions import After, Before, Moved
from tests.laws.workflows import Blocked, Held
from tests.meshes import QUEUE, Probe, ended, eventually, oban_on, on_host, own_pool

LATER = Constant(timedelta(hours=1))
LEASE = timedelta(seconds=1)


async def fine() -> str:
    return "fine"


async def hold(at: StepContext, probe: Probe) -> str:
    await probe.hold(at.step)
    return "held"


async def fail() -> None:
    raise ConnectionError("the bank is closed")


async def refuse() -> None:
    raise StepError("no such account", code="unknown", retryable=False)


class Fine(Workflow[NoPayload]):
    work = step(fine).takes()


class Holding(Workflow[NoPayload]):
    work = step(hold).takes(context, resource(Probe))
    last = step(fine, after=[work]).takes()


class Charging(Workflow[NoPayload]):
    work = step(hold, on_interrupt="pause").takes(context, resource(Probe))


class ChargingOnce(Workflow[NoPayload]):
    work = step(hold, on_interrupt="fail").takes(context, resource(Probe))


class Trying(Workflow[NoPayload]):
    work = step(fail, retry=Retry(2, LATER, jitter=False)).takes()


class TryingTwice(Workflow[NoPayload]):
    work = step(fail, retry=Retry(2, Constant(timedelta(milliseconds=1)))).takes()


class TryingOnce(Workflow[NoPayload]):
    work = step(fail).takes()


class Refusing(Workflow[NoPayload]):
    work = step(refuse, retry=Retry(5)).takes()


class FailingBeside(Workflow[NoPayload]):
    held = step(hold).takes(context, resource(Probe))
    work = step(fail).takes()


class Sleeping(Workflow[NoPayload]):
    nap = wait(timedelta(days=30))
    last = step(fine, after=[nap]).takes()


class Stopping(Workflow[NoPayload]):
    stop = pause()
    last = step(fine, after=[stop]).takes()


class Reviewing(Workflow[NoPayload]):
    review = approval(deadline=timedelta(days=2))
    flow = (
        review.on_approved >> complete,
        review.on_rejected >> complete,
        review.on_timeout >> complete,
    )


class Digest(Payload):
    text: str


def nothing(_: Window) -> Digest:
    raise LookupError("no text today")


class Daily(Workflow[Digest]):
    at_nine = cron("0 9 * * *", timezone="Etc/UTC", payload=nothing)
    work = step(fine).takes()


WORKFLOWS: list[type[Workflow[Any]]] = [
    *(Fine, Holding, Charging, ChargingOnce, Trying, TryingTwice, TryingOnce, Refusing),
    *(FailingBeside, Sleeping, Stopping, Reviewing),
]


@dataclass
class Stage:
    """A database, and what a situation has opened on it."""

    dsn: str
    probe: Probe = field(default_factory=Probe)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def _given(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"resources": [self.probe]} | options

    async def mesh(self, *workflows: type[Workflow[Any]], **options: Any) -> Mesh:
        """A process that drives, until the end of the test."""
        opened = on_host(self.dsn, workflows or WORKFLOWS, **self._given(options))
        return await self.stack.enter_async_context(opened)

    @asynccontextmanager
    async def brief(self, *workflows: type[Workflow[Any]], **options: Any) -> AsyncGenerator[Mesh]:
        """A process that ends before anybody looks."""
        async with on_host(self.dsn, workflows or WORKFLOWS, **self._given(options)) as mesh:
            yield mesh

    async def reader(self, *workflows: type[Workflow[Any]], **options: Any) -> Mesh:
        """A mesh that was never started: it looks, and does nothing else."""
        pool = await self.stack.enter_async_context(own_pool(self.dsn))
        oban = oban_on(pool, {})
        options |= {"lease": LEASE, "heartbeat": LEASE / 2}
        return Mesh(pool, oban=oban, workflows=workflows or WORKFLOWS, **options)

    async def unserved(self, workflow: type[Workflow[NoPayload]]) -> UUID:
        """A run that was started where nobody drives."""
        async with self.brief(queues={}) as mesh:
            return (await mesh.start_run(workflow)).id


type Scene = Callable[[Stage], Awaitable[tuple[Mesh, UUID]]]
SCENES: dict[Reason, Scene] = {}


def scene(reason: Reason) -> Callable[[Scene], Scene]:
    def of(scene: Scene) -> Scene:
        SCENES[reason] = scene
        return scene

    return of


async def explained(mesh: Mesh, run_id: UUID, reason: Reason) -> Explanation | Cause:
    """The explanation, or that of another step of the run, once it has this reason."""
    found: list[Explanation | Cause] = []

    async def is_so() -> bool:
        whole = await mesh.explain_run(run_id)
        found[:] = [cause for cause in (whole, *whole.others) if cause.reason is reason]
        return bool(found)

    await eventually(is_so)
    return found[0]


def to_its_end(workflow: type[Workflow[NoPayload]]) -> Scene:
    async def play(stage: Stage) -> tuple[Mesh, UUID]:
        mesh = await stage.mesh()
        run = await mesh.start_run(workflow)
        await ended(mesh, run.id)
        return mesh, run.id

    return play


def to_its_rest(workflow: type[Workflow[NoPayload]]) -> Scene:
    async def play(stage: Stage) -> tuple[Mesh, UUID]:
        mesh = await stage.mesh()
        run = await mesh.start_run(workflow)
        return mesh, run.id

    return play


SCENES |= {
    Reason.COMPLETED: to_its_end(Fine),
    Reason.ATTEMPTS_USED_UP: to_its_end(TryingTwice),
    Reason.NOT_RETRYABLE: to_its_end(Refusing),
    Reason.STEP_FAILED: to_its_end(TryingOnce),
    Reason.RETRYING: to_its_rest(Trying),
    Reason.SLEEPING: to_its_rest(Sleeping),
    Reason.PAUSED: to_its_rest(Stopping),
    Reason.AWAITING_APPROVAL: to_its_rest(Reviewing),
    Reason.RUNNING: to_its_rest(Holding),
    Reason.WAITING_FOR_DEPENDENCIES: to_its_rest(Sleeping),
}


@scene(Reason.CANCELLED)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    mesh = await stage.mesh()
    run = await mesh.start_run(Sleeping)
    await mesh.cancel_run(run.id, actor={"name": "ada"}, comment="not needed")
    return mesh, run.id


@scene(Reason.CANCELLING)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    mesh = await stage.mesh()
    run = await mesh.start_run(Holding)
    await stage.probe.begun.wait()
    await mesh.cancel_run(run.id, actor="ada")
    return mesh, run.id


@scene(Reason.FAILING)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    mesh = await stage.mesh()
    run = await mesh.start_run(FailingBeside)
    await stage.probe.begun.wait()
    return mesh, run.id


@scene(Reason.WINDOW_FAILED)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    mesh = await stage.mesh(Daily, heartbeat=timedelta(seconds=0.1))
    (schedule,) = await mesh.schedules()
    assert schedule.next_window is not None
    await advance(stage.dsn, schedule.next_window - await now(stage.dsn))

    async def has_failed() -> bool:
        await wake_jobs(stage.dsn)
        return bool((await mesh.list_runs()).runs)

    assert scheduling.MOST_TRIES > 1
    await eventually(has_failed)
    (run,) = (await mesh.list_runs()).runs
    return mesh, run.id


async def _interrupted(stage: Stage, workflow: type[Workflow[NoPayload]]) -> UUID:
    """A run whose process left in the middle of its step."""
    async with stage.brief() as mesh:
        run = await mesh.start_run(workflow)
        await stage.probe.begun.wait()
    return run.id


@scene(Reason.INTERRUPTED_FOR_GOOD)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    run_id = await _interrupted(stage, ChargingOnce)
    return await stage.mesh(), run_id


@scene(Reason.INTERRUPTED)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    run_id = await _interrupted(stage, Charging)
    return await stage.mesh(), run_id


@scene(Reason.WORKER_GONE)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    await install(stage.dsn)
    doomed = await stage.stack.enter_async_context(worker(stage.dsn))
    run_id = await doomed.starts(Held)
    journal = await stage.stack.enter_async_context(Journal(stage.dsn))
    await journal.has(1)
    await doomed.dies()
    return await stage.reader(Held), run_id


@scene(Reason.WORKER_BLOCKED)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    await install(stage.dsn)
    blocked = await stage.stack.enter_async_context(worker(stage.dsn))
    run_id = await blocked.starts(Blocked)
    return await stage.reader(Blocked), run_id


async def _between_versions(stage: Stage) -> tuple[Journal, UUID]:
    """A run of the first version, whose process left before its second step."""
    await install(stage.dsn)
    journal = await stage.stack.enter_async_context(Journal(stage.dsn))
    async with stage.brief(Before, resources=[journal]) as mesh:
        run = await mesh.start_run(Before)
        await journal.has(1, "begin")
    await journal.let_go(run.id)
    return journal, run.id


@scene(Reason.PARKED)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    journal, run_id = await _between_versions(stage)
    return await stage.mesh(After, resources=[journal]), run_id


@scene(Reason.HANDED_ON)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    """The process that declares it serves no queue: the one that does hands it on."""
    await install(stage.dsn)
    journal = await stage.stack.enter_async_context(Journal(stage.dsn))
    newer = await stage.mesh(Moved, resources=[journal], queues={}, name="newer")
    run = await newer.start_run(Moved)
    await journal.let_go(run.id)
    await every(stage.dsn, "update oban_jobs set worker = 'squid_mesh.squid_mesh'")
    return await stage.mesh(After, resources=[journal]), run.id


@scene(Reason.QUEUE_UNSERVED)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    return await stage.reader(), await stage.unserved(Fine)


@scene(Reason.QUEUE_PAUSED)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    mesh = await stage.mesh()
    await _oban_of(mesh).pause_queue(QUEUE)

    async def is_paused() -> bool:
        paused = "select 1 from oban_producers where meta ->> 'paused' = 'true'"
        return bool(await every(stage.dsn, paused))

    await eventually(is_paused)
    run = await mesh.start_run(Fine)
    return mesh, run.id


def _oban_of(mesh: Mesh) -> Oban:
    return mesh._oban


@scene(Reason.WORKER_MISSING)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    """An Oban without its mesh: it puts back what it fetches."""
    run_id = await stage.unserved(Fine)
    pool = await stage.stack.enter_async_context(own_pool(stage.dsn))
    await stage.stack.enter_async_context(oban_on(pool))
    return await stage.reader(), run_id


@scene(Reason.JOB_MISSING)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    run_id = await stage.unserved(Fine)
    await every(stage.dsn, "delete from oban_jobs")
    return await stage.reader(), run_id


@scene(Reason.ADRIFT)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    """A database that was put back together wrongly."""
    run_id = await stage.unserved(Fine)
    await every(stage.dsn, "delete from squid_mesh.steps")
    return await stage.reader(), run_id


@scene(Reason.QUEUED)
async def _(stage: Stage) -> tuple[Mesh, UUID]:
    mesh = await stage.mesh(queues={QUEUE: 1})
    await mesh.start_run(Holding)
    await stage.probe.begun.wait()
    await mesh.start_run(Fine)
    run = await mesh.start_run(Fine)
    return mesh, run.id
