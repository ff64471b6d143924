"""A driver whose run is over goes on with the run that is next in its queue, by Oban's order.

Nobody is overtaken, no run is driven twice, and what can't be claimed is left to Oban.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from oban import current_job
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from squid_mesh import (
    Mesh,
    Payload,
    StepContext,
    Workflow,
    complete,
    context,
    resource,
    step,
    wait,
)
from squid_mesh.runtime.cancelling import cancel
from squid_mesh.runtime.drive import Driver
from squid_mesh.runtime.facts import NO_FACTS
from squid_mesh.runtime.jobs import Slice
from squid_mesh.runtime.ledger import Ledger
from squid_mesh.store.committer import Busy
from squid_mesh.store.records import Claim, Claimed, Take, Taken
from squid_mesh.store.writes import Writer
from tests.clock import every, one
from tests.laws.journal import Journal
from tests.laws.processes import worker
from tests.laws.proxy import proxied
from tests.laws.workflows import Held
from tests.laws.worlds import (
    LONE,
    PAIR,
    STATEMENTS,
    Hand,
    all_ended,
    started,
    unsound,
)
from tests.meshes import BOUND, QUEUE, Probe, Workflows, eventually, on_host

AVAILABLE = "select id from oban_jobs where state = 'available' order by priority, scheduled_at, id"
JOB_OF = "select id from oban_jobs where args ->> 'run' = %s"


def runs_of(outcomes: list[Taken | None]) -> list[UUID]:
    """The runs that were taken."""
    return [outcome.claimed.run_id for outcome in outcomes if isinstance(outcome, Taken)]


async def takes(hand: Hand, places: int, queue: str = QUEUE) -> list[UUID]:
    """The runs that so many drivers of one flush get, in the order of their jobs."""
    outcomes = await hand.take(*(Take(queue) for _ in range(places)))
    assert len(outcomes) == places
    jobs = {one.job: one.claimed.run_id for one in outcomes if isinstance(one, Taken)}
    return [jobs[job] for job in sorted(jobs)]


async def enqueued(dsn: str, args: Mapping[str, Any], *, worker: str, priority: int = 5) -> int:
    """A job of anybody's, and its number."""
    row = await one(
        dsn,
        "insert into oban_jobs (queue, worker, args, priority) values (%s, %s, %s, %s)"
        " returning id",
        QUEUE,
        worker,
        Jsonb(args),
        priority,
    )
    return int(row[0])


# one flush


async def test_drivers_get_what_oban_would_fetch_next(dsn: str, two: list[Hand]) -> None:
    hand, _ = two
    await LONE.install(dsn)
    late, urgent, early = LONE.start(), replace(LONE.start(), priority=-3), LONE.start()
    await hand.start(early)
    await hand.start(late)
    await hand.start(urgent)
    assert set(await takes(hand, 2)) == {urgent.run_id, early.run_id}
    assert await takes(hand, 2) == [late.run_id]
    assert await takes(hand, 2) == []
    assert await every(dsn, "select 1 from oban_jobs") == []
    assert await unsound(dsn) == []


async def test_it_comes_with_all_that_a_body_starts_under(dsn: str, two: list[Hand]) -> None:
    hand, _ = two
    (run,) = await started(dsn, hand, PAIR, 1)
    first, second = await hand.take(Take(QUEUE), Take(QUEUE))
    assert isinstance(first, Taken)
    assert isinstance(second, Taken)
    assert {first.claimed.step, second.claimed.step} == {"left", "right"}
    assert [one.claimed.begins for one in (first, second)].count(True) == 1
    for taken in (first, second):
        assert taken.args["run"] == str(run)
        assert (taken.claimed.run_id, taken.claimed.attempt) == (run, 1)
        assert (taken.claimed.workflow, taken.claimed.payload) == ("pair", {})
    await hand.advance(PAIR.completed(first.claimed), PAIR.completed(second.claimed))
    assert await unsound(dsn) == []


async def test_of_a_claim_and_a_take_of_one_step_one_is_made(dsn: str, two: list[Hand]) -> None:
    """Its job was delivered twice: one is with a driver, the other waits, and they meet."""
    await LONE.install(dsn)
    hand, other = two
    for _ in range(50):
        start = LONE.start()
        await hand.start(start)
        claim = Claim(start.run_id, "only")
        (claimed,), taken = await asyncio.gather(hand.claim(claim), takes(other, 1))
        assert isinstance(claimed, Claimed) != (taken == [start.run_id])
        await every(dsn, "delete from oban_jobs")
    assert await every(dsn, "select 1 from squid_mesh.steps where attempt <> 1") == []
    assert await unsound(dsn) == []


async def test_queues_are_apart(dsn: str, two: list[Hand]) -> None:
    hand, _ = two
    here, there = await started(dsn, hand, LONE, 2)
    await every(dsn, "update oban_jobs set queue = 'other' where args ->> 'run' = %s", str(there))
    outcomes = await hand.take(Take("other"), Take(QUEUE), Take("other"), Take("nowhere"))
    assert runs_of(outcomes[:1] + outcomes[2:3]) == [there]
    assert runs_of(outcomes[1:2]) == [here]
    assert outcomes[3] is None


async def test_nobody_is_overtaken(dsn: str, two: list[Hand]) -> None:
    """A place that somebody else's job is to have is given back, whoever comes after it."""
    hand, _ = two
    (run,) = await started(dsn, hand, LONE, 1)
    hosts = await enqueued(dsn, {}, worker="host.Mail", priority=0)
    assert await takes(hand, 1) == []
    assert await takes(hand, 2) == [run]
    assert await every(dsn, AVAILABLE) == [(hosts,)]


RUN = str(uuid4())

STRANGE: dict[str, tuple[str, dict[str, Any]]] = {
    "another mesh's": ("squid_mesh.other", {"run": "RUN", "step": "only"}),
    "a cron window's": ("squid_mesh.squid_mesh", {"cron": {"window": "2026-01-01"}}),
    "of no run": ("squid_mesh.squid_mesh", {"run": RUN, "step": "only"}),
    "of no step": ("squid_mesh.squid_mesh", {"run": "RUN", "step": "none"}),
    "with a number for a step": ("squid_mesh.squid_mesh", {"run": "RUN", "step": 1}),
    "with a name for a run": ("squid_mesh.squid_mesh", {"run": "mine", "step": "only"}),
    "with hyphens for a run": ("squid_mesh.squid_mesh", {"run": "-" * 36, "step": "only"}),
    "that says nothing": ("squid_mesh.squid_mesh", {}),
}


@pytest.mark.parametrize("whose", STRANGE)
async def test_a_job_that_is_strange_is_left_to_oban(dsn: str, two: list[Hand], whose: str) -> None:
    hand, _ = two
    (run,) = await started(dsn, hand, LONE, 1)
    worker, args = STRANGE[whose]
    args = args | ({"run": str(run)} if args.get("run") == "RUN" else {})
    job = await enqueued(dsn, args, worker=worker, priority=0)
    assert await takes(hand, 2) == [run]
    assert await every(dsn, AVAILABLE) == [(job,)]


NOT_NOW = {
    "its step is under way": """
        update squid_mesh.steps set status = 'running', attempt = 1, claim = 1, started_at = now(),
          due_at = null""",
    "its step is parked": "update squid_mesh.steps set status = 'paused'",
    "its time hasn't come": """
        update squid_mesh.steps set status = 'scheduled', due_at = now() + interval '1 hour'""",
    "its run has failed": "update squid_mesh.runs set error = '{}'",
}


@pytest.mark.parametrize("why", NOT_NOW)
async def test_what_can_t_be_claimed_now_is_left_to_oban(
    dsn: str, two: list[Hand], why: str
) -> None:
    hand, _ = two
    (run,) = await started(dsn, hand, LONE, 1)
    job = await one(dsn, JOB_OF, str(run))
    await every(dsn, NOT_NOW[why])
    before = await every(dsn, "select t::text from squid_mesh.steps t")
    assert await takes(hand, 1) == []
    assert await every(dsn, AVAILABLE) == [job]
    assert await every(dsn, "select t::text from squid_mesh.steps t") == before


async def test_a_cancelled_run_is_left_to_oban(dsn: str, two: list[Hand]) -> None:
    hand, other = two
    (run,) = await started(dsn, hand, LONE, 1)
    async with other.connection.transaction():
        await cancel(other.connection, STATEMENTS, run, NO_FACTS)
    assert await takes(hand, 1) == []
    assert await unsound(dsn) == []


@pytest.mark.parametrize(
    "holds",
    [
        "select 1 from squid_mesh.runs where id = %s for update",
        "select 1 from oban_jobs where args ->> 'run' = %s::text for update",
    ],
)
async def test_what_somebody_holds_isn_t_waited_for(dsn: str, two: list[Hand], holds: str) -> None:
    """The run, in a host's transaction; its job, as Oban fetches it."""
    hand, _ = two
    held, free = await started(dsn, hand, LONE, 2)
    async with await AsyncConnection.connect(dsn) as holder:
        await holder.execute(holds.encode(), (held,))
        assert await takes(hand, 2) == [free]
    assert await takes(hand, 1) == [held]
    assert await unsound(dsn) == []


async def test_each_run_is_taken_once_by_whoever_comes(dsn: str, two: list[Hand]) -> None:
    """Two processes' flushes at once, with Oban's fetches between them, a hundred times."""
    await LONE.install(dsn)
    mine, other = two
    for _ in range(100):
        runs = [LONE.start() for _ in range(6)]
        await mine.start(*runs)
        got = await asyncio.gather(takes(mine, 4), takes(other, 4), fetched(dsn, 2))
        left = [UUID(args["run"]) for (args,) in await every(dsn, ARGS_OF_AVAILABLE)]
        everything = [run for runs in (*got, left) for run in runs]
        assert sorted(everything) == sorted(run.run_id for run in runs)
        await every(dsn, "delete from oban_jobs")
    assert await unsound(dsn) == []


ARGS_OF_AVAILABLE = "select args from oban_jobs where state = 'available'"
FETCH = """
update oban_jobs set state = 'executing', attempted_at = timezone('UTC', now())
where id in (select id from oban_jobs where state = 'available' and queue = 'squid_mesh'
             order by priority, scheduled_at, id limit %s for update skip locked)
returning args
"""


async def fetched(dsn: str, demand: int) -> list[UUID]:
    """The runs whose jobs Oban fetches."""
    return [UUID(args["run"]) for (args,) in await every(dsn, FETCH, demand)]


# a process


class Numbered(Payload):
    number: int


customer: ContextVar[int | None] = ContextVar("customer", default=None)


@dataclass
class Places:
    """Notes in which job each run was driven, and what its first body found in its context."""

    jobs: dict[int, int | None] = field(default_factory=dict)
    found: list[int | None] = field(default_factory=list)

    @property
    def fetched(self) -> int:
        """How many jobs Oban fetched: a run that was taken along has none."""
        return len([job for job in self.jobs.values() if job is not None])


async def note(number: int, places: Places) -> None:
    if number not in places.jobs:
        places.found.append(customer.get())
    job = current_job()
    places.jobs[number] = None if job is None else job.id
    customer.set(number)


async def hold(number: int, probe: Probe) -> None:
    await probe.hold(str(number))


class Quick(Workflow[Numbered]):
    one = step(note).takes(Numbered.number, resource(Places))
    two = step(note).takes(Numbered.number, resource(Places))
    flow = one >> two >> complete


class Beside(Workflow[Numbered]):
    x = step(note).takes(Numbered.number, resource(Places))
    y = step(note).takes(Numbered.number, resource(Places))
    z = step(note).takes(Numbered.number, resource(Places))


class Sleeping(Workflow[Numbered]):
    one = step(note).takes(Numbered.number, resource(Places))
    nap = wait(timedelta(days=1))
    flow = one >> nap >> complete


async def cancel_itself(at: StepContext) -> None:
    if at.attempt == 1:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)


class Ending(Workflow[Numbered]):
    only = step(cancel_itself).takes(context)
    flow = only >> complete


class Holding(Workflow[Numbered]):
    only = step(hold).takes(Numbered.number, resource(Probe))
    flow = only >> complete


@asynccontextmanager
async def one_place(
    dsn: str,
    *resources: object,
    places: int = 1,
    workflows: Workflows = (Quick, Beside, Sleeping, Ending, Holding),
    **options: Any,
) -> AsyncGenerator[Mesh]:
    """A mesh with hardly a place, so that jobs wait for it."""
    async with on_host(
        dsn, workflows, queues={QUEUE: places}, resources=resources, **options
    ) as mesh:
        yield mesh


async def begins(mesh: Mesh, workflow: type[Workflow[Any]], runs: int) -> None:
    """So many runs of which all but the first few wait."""
    await mesh.start_runs(workflow, [{"number": number} for number in range(runs)])


async def driven(dsn: str, runs: int, *, places: int = 1) -> Places:
    """Have so many runs driven that all begin to wait at once."""
    notes = Places()
    async with one_place(dsn, notes, Probe(), places=places) as mesh:
        await begins(mesh, Quick, runs)
        await eventually(lambda: all_ended(dsn))
    return notes


SWEEPING: dict[str, Any] = {"heartbeat": timedelta(seconds=0.1), "lease": timedelta(seconds=10)}


@pytest.fixture
def waiting_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every job had waited, and nobody else did for the place."""
    monkeypatch.setattr("squid_mesh.runtime.jobs.WAITED_SECONDS", -1.0)
    monkeypatch.setattr("squid_mesh.runtime.jobs.TAKING_SECONDS", BOUND.total_seconds())


@pytest.mark.usefixtures("waiting_at_once")
@pytest.mark.parametrize("width", [1, 3])
async def test_runs_that_wait_are_driven_in_the_places_that_are_taken(dsn: str, width: int) -> None:
    places = await driven(dsn, 40, places=width)
    assert len(places.jobs) == 40
    assert places.fetched < 20, "most without a job of their own"
    assert set(places.found) == {None}, "nothing of other runs"
    assert await every(dsn, "select 1 from oban_jobs where args ? 'run'") == []
    assert await unsound(dsn) == []


async def test_a_place_that_nobody_waited_for_is_given_back(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Oban hands jobs out at once, there is nothing to ask for."""
    monkeypatch.setattr("squid_mesh.runtime.jobs.WAITED_SECONDS", BOUND.total_seconds())
    taking = counts(monkeypatch, Ledger, "take")
    assert (await driven(dsn, 5)).fetched == 5
    assert taking == []


@pytest.mark.usefixtures("waiting_at_once")
@pytest.mark.parametrize("limit", ["TAKING_SECONDS", "SLICE_SECONDS"])
async def test_a_place_is_given_back_in_time(
    dsn: str, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(f"squid_mesh.runtime.jobs.{limit}", 0.0)
    assert (await driven(dsn, 8)).fetched == 8


@pytest.mark.usefixtures("waiting_at_once")
async def test_how_many_steps_a_run_may_have_is_its_own(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps of the run before don't count: none has to hand over in its middle."""
    monkeypatch.setattr("squid_mesh.runtime.jobs.SLICE_STEPS", 3)
    assert (await driven(dsn, 8)).fetched == 1


@pytest.mark.usefixtures("waiting_at_once")
async def test_a_host_s_job_has_its_turn(dsn: str) -> None:
    """One that is more urgent is done before the runs that wait, in the same queue."""
    places, probe = Places(), Probe()
    async with one_place(dsn, places, probe) as mesh:
        await begins(mesh, Holding, 1)
        await probe.has_begun(1)
        await begins(mesh, Quick, 5)
        job = await enqueued(dsn, {}, worker="host.Unknown", priority=0)
        probe.gate.set()
        await eventually(lambda: all_ended(dsn))
        tried = await one(dsn, "select attempt, attempted_at from oban_jobs where id = %s", job)
        first = await one(
            dsn, "select min(s.started_at) from squid_mesh.steps s where s.step = 'one'"
        )
    assert tried[0] == 1
    assert tried[1] < first[0].replace(tzinfo=None)


@pytest.mark.usefixtures("waiting_at_once")
async def test_nothing_is_taken_in_a_queue_that_is_paused(dsn: str) -> None:
    places, probe = Places(), Probe()
    async with one_place(dsn, places, probe) as mesh:
        oban = mesh._oban
        await begins(mesh, Holding, 1)
        await probe.has_begun(1)
        await oban.pause_queue(QUEUE)
        await begins(mesh, Quick, 2)
        probe.gate.set()

        async def has_nothing_to_do() -> bool:
            info = oban.check_queue(QUEUE)
            return info is not None and not info.running

        await eventually(has_nothing_to_do)
        assert places.jobs == {}
        await oban.resume_queue(QUEUE)
        await eventually(lambda: all_ended(dsn))
    assert len(places.jobs) == 2


@pytest.mark.usefixtures("waiting_at_once")
async def test_an_oban_that_stops_is_given_nothing(dsn: str) -> None:
    """Its grace is for what is under way: a run that began now might be cut off by it."""
    places, probe = Places(), Probe()
    async with one_place(dsn, places, probe) as mesh:
        await begins(mesh, Holding, 1)
        await probe.has_begun(1)
        await begins(mesh, Quick, 2)
        stopping = asyncio.create_task(mesh._oban.stop())

        async def has_begun_to_stop() -> bool:
            return bool(mesh._oban._producers[QUEUE]._stopping.is_set())

        await eventually(has_begun_to_stop)
        probe.gate.set()
        await stopping
    assert places.jobs == {}


async def follows_one_that_sleeps(dsn: str, mesh: Mesh, workflow: type[Workflow[Any]]) -> None:
    """A run that is driven in the place of one that sleeps, whose job is done and has no error."""
    await mesh._oban.pause_queue(QUEUE)
    await begins(mesh, Sleeping, 1)
    await begins(mesh, workflow, 1)
    await mesh._oban.resume_queue(QUEUE)
    first = (
        "select j.state::text, j.errors::text from oban_jobs j, squid_mesh.runs r"
        " where j.args->>'run' = r.id::text and r.workflow = 'Sleeping' and j.args->>'step' = 'one'"
    )

    async def is_done() -> bool:
        (found,) = await every(dsn, first)
        assert found[0] in {"available", "executing", "completed"}
        return bool(found == ("completed", "[]"))

    await eventually(is_done)


@pytest.mark.usefixtures("waiting_at_once")
async def test_a_run_that_breaks_its_driver_is_no_other_job_s_fault(
    dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of ours in the second run leaves the job of the first one done."""
    step = Driver._step

    async def breaks(self: Driver, claimed: Claimed, slice_: Slice) -> bool:
        if claimed.step == "two" and claimed.attempt == 1:
            raise RuntimeError("a mistake of ours")
        return await step(self, claimed, slice_)

    monkeypatch.setattr(Driver, "_step", breaks)
    async with one_place(dsn, Places(), Probe(), **SWEEPING) as mesh:
        await follows_one_that_sleeps(dsn, mesh, Quick)
        broken = "select run_id from squid_mesh.attempts where step = 'two'"
        await eventually(lambda: every(dsn, broken))
        ((run,),) = await every(dsn, broken)
        assert f"driving run {run}" in caplog.text


@pytest.mark.usefixtures("waiting_at_once")
async def test_a_body_that_cancels_its_own_task_is_no_other_job_s_fault(dsn: str) -> None:
    """The job of the run before is acknowledged: nobody told its driver to end."""
    async with one_place(dsn, Places(), Probe(), **SWEEPING) as mesh:
        await follows_one_that_sleeps(dsn, mesh, Ending)
        await eventually(lambda: every(dsn, INTERRUPTED))


@pytest.mark.usefixtures("waiting_at_once")
async def test_of_a_run_before_nothing_is_held(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that took its siblings along held all of its steps; the next holds its own."""
    probe = Probe()
    async with one_place(dsn, Places(), probe) as mesh:
        await begins(mesh, Beside, 1)
        await begins(mesh, Holding, 1)
        await probe.has_begun(1)
        (held,) = mesh._process.driver.driving.steps
        assert held[1] == "only"
        probe.gate.set()
        await eventually(lambda: all_ended(dsn))


@pytest.mark.usefixtures("waiting_at_once")
async def test_one_that_can_t_do_what_it_has_gives_its_place_back(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has no code for runs would only park them, or put them off, one after the other."""
    taking = counts(monkeypatch, Ledger, "take")
    async with on_host(dsn, [Quick], queues={}, resources=[Places()]) as other:
        await begins(other, Quick, 6)
    async with one_place(dsn, Probe(), workflows=[Holding]):

        async def are_parked() -> bool:
            parked = "select 1 from squid_mesh.steps where needs is not null"
            return len(await every(dsn, parked)) == 6

        await eventually(are_parked)
    assert taking == []


@pytest.mark.usefixtures("waiting_at_once")
async def test_a_mesh_that_ends_takes_nothing(dsn: str) -> None:
    places, probe = Places(), Probe()
    async with one_place(dsn, places, probe, grace=BOUND) as mesh:
        await begins(mesh, Holding, 1)
        await probe.has_begun(1)
        await begins(mesh, Quick, 3)
        mesh._process.close()  # as when it begins to end
        probe.gate.set()
    assert places.jobs == {}
    async with one_place(dsn, places, probe):
        await eventually(lambda: all_ended(dsn))
    assert await every(dsn, "select distinct attempt from squid_mesh.steps") == [(1,)]


# answers that are late or lost


def counts(monkeypatch: pytest.MonkeyPatch, cls: type, method: str) -> list[str]:
    """Whose length is how often a method was called, and came back."""
    calls: list[str] = []
    call = getattr(cls, method)

    async def counting(*args: Any, **options: Any) -> Any:
        result = await call(*args, **options)
        calls.append(method)
        return result

    monkeypatch.setattr(cls, method, counting)
    return calls


async def are_swept(sweeps: list[str]) -> None:
    """Wait for a few more sweeps."""
    enough = len(sweeps) + 4

    async def are() -> bool:
        return len(sweeps) >= enough

    await eventually(are)


INTERRUPTED = "select run_id from squid_mesh.audit_events where type = 'interrupted'"


@pytest.mark.usefixtures("waiting_at_once")
async def test_a_sweep_leaves_alone_what_is_being_taken(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim is durable and its driver doesn't know of it: the answer is on its way."""
    durable, arrives = asyncio.Event(), asyncio.Event()
    take = Writer.take

    async def slow(self: Writer, connection: Any, takes: Any) -> list[Taken | Busy | None]:
        outcomes = await take(self, connection, takes)
        if any(isinstance(one, Taken) for one in outcomes):
            durable.set()
            await arrives.wait()
        return outcomes

    monkeypatch.setattr(Writer, "take", slow)
    sweeps = counts(monkeypatch, Ledger, "find_interrupted")
    async with one_place(dsn, Places(), Probe(), **SWEEPING) as mesh:
        await begins(mesh, Quick, 2)
        async with asyncio.timeout(BOUND.total_seconds()):
            await durable.wait()
        await are_swept(sweeps)
        arrives.set()
        await eventually(lambda: all_ended(dsn))
    assert await every(dsn, INTERRUPTED) == []
    assert await every(dsn, "select distinct attempt from squid_mesh.steps") == [(1,)]


@pytest.mark.usefixtures("waiting_at_once")
async def test_a_sweep_leaves_alone_what_was_taken(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = Probe()
    sweeps = counts(monkeypatch, Ledger, "find_interrupted")
    async with one_place(dsn, Places(), probe, **SWEEPING) as mesh:
        await begins(mesh, Quick, 3)
        await begins(mesh, Holding, 1)
        await probe.has_begun(1)
        await are_swept(sweeps)
        probe.gate.set()
        await eventually(lambda: all_ended(dsn))
    assert await every(dsn, INTERRUPTED) == []
    assert len(probe.calls) == 1


ONE_PLACE: dict[str, Any] = {"queues": {QUEUE: 1}, "keeps_places": True}
HAS_NO_JOB = """
select 1 from squid_mesh.steps s
where s.run_id = %s and s.status = 'running'
  and not exists (select from oban_jobs where args ->> 'run' = s.run_id::text)
"""


async def test_one_whose_answer_was_lost_is_released(dsn: str, journal: Journal) -> None:
    """Nobody holds it, and it has no job: the next sweep finds it."""
    async with (
        proxied(dsn) as (proxy, through),
        worker(through, journal=dsn, lease=5, **ONE_PLACE) as process,
    ):
        first = await process.starts(Held)
        await journal.has(1, "work")
        second = await process.starts(Held)
        proxy.lose("take_steps")
        await journal.let_go(first)
        await proxy.has_lost("take_steps")
        await journal.let_go(second)
        await eventually(lambda: all_ended(dsn))
    assert await every(dsn, INTERRUPTED) == [(second,)]
    assert await unsound(dsn) == []
    assert await journal.unclaimed() == []
    assert set((await journal.bodies()).values()) == {1}


async def test_a_run_that_was_taken_outlives_its_process(dsn: str, journal: Journal) -> None:
    """It has no job, and its claim no driver: another process takes it over."""
    async with worker(dsn, journal=dsn, **ONE_PLACE) as process:
        first = await process.starts(Held)
        await journal.has(1, "work")
        second = await process.starts(Held)
        await journal.let_go(first)
        await journal.has(2, "work")
        assert await every(dsn, HAS_NO_JOB, second)
        await process.dies()
    async with worker(dsn, journal=dsn):
        await journal.let_go(second)
        await eventually(lambda: all_ended(dsn))
    assert await every(dsn, INTERRUPTED) == [(second,)]
    assert await unsound(dsn) == []
    assert await journal.unclaimed() == []
    assert await journal.steps_of(second) == ["before", "work", "work", "after"]
