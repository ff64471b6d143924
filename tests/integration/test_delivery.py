"""Jobs come late, early, twice or not at all; a step's body runs once for each claim."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import uuid4

import pytest
from oban import Job

from squid_mesh import (
    Constant,
    Mesh,
    NoPayload,
    Payload,
    Retry,
    StepContext,
    Workflow,
    complete,
    context,
    resource,
    step,
)
from squid_mesh.store.connections import connect_committer
from squid_mesh.store.records import Claim, Claimed, Nothing
from squid_mesh.store.statements import Statements
from squid_mesh.store.writes import Queueing, Writer
from tests.clock import advance, every, one
from tests.conformance import conforms
from tests.meshes import (
    QUEUE,
    Probe,
    Workflows,
    ended,
    eventually,
    history,
    oban_on,
    on_host,
    own_pool,
    play,
    statuses,
    step_of,
)

COPY = """
insert into oban_jobs (queue, worker, args, max_attempts)
select queue, worker, args, max_attempts from oban_jobs, generate_series(1, %s)
"""


class Numbers(Payload):
    number: int


async def hold(probe: Probe) -> None:
    await probe.hold("held")


async def note(probe: Probe, at: StepContext) -> None:
    probe.note(at.step)


async def add(left: int, right: int) -> int:
    return left + right


async def fail_once(at: StepContext, probe: Probe) -> None:
    probe.note(f"attempt {at.attempt}")
    if at.attempt == 1:
        raise ValueError


class Held(Workflow[NoPayload]):
    work = step(hold).takes(resource(Probe))


class ThreeSteps(Workflow[NoPayload]):
    a = step(note).takes(resource(Probe), context)
    b = step(note).takes(resource(Probe), context)
    c = step(note).takes(resource(Probe), context)
    flow = a >> b >> c >> complete


class TwoQueues(Workflow[NoPayload]):
    a = step(note).takes(resource(Probe), context)
    b = step(note, queue="other").takes(resource(Probe), context)
    c = step(note).takes(resource(Probe), context)
    flow = a >> b >> c >> complete


class Siblings(Workflow[Numbers]):
    left = step(add).takes(Numbers.number, 1)
    middle = step(add).takes(Numbers.number, 2)
    right = step(add).takes(Numbers.number, 3)
    both = step(add).takes(left.output, right.output)
    other = step(add).takes(middle.output, right.output)
    last = step(note, after=[both, other]).takes(resource(Probe), context)


class Retried(Workflow[NoPayload]):
    work = step(fail_once, retry=Retry(2, Constant(timedelta(hours=1)), jitter=False)).takes(
        context, resource(Probe)
    )


WORKFLOWS: Workflows = [Held, ThreeSteps, TwoQueues, Siblings, Retried]


@pytest.fixture
async def mesh(dsn: str, probe: Probe) -> AsyncGenerator[Mesh]:
    queues = {QUEUE: 10, "other": 2}
    async with on_host(dsn, WORKFLOWS, resources=[probe], queues=queues) as mesh:
        yield mesh


async def delivered(dsn: str) -> None:
    """Wait until Oban has no job left to do."""

    async def are() -> bool:
        left = "select 1 from oban_jobs where state in ('available', 'executing')"
        return not await every(dsn, left)

    await eventually(are)


@conforms("S66", "S77")
async def test_a_job_that_comes_five_times_at_once_runs_the_body_once(
    dsn: str, probe: Probe
) -> None:
    async with on_host(dsn, WORKFLOWS, queues={}) as starting:
        run = await starting.start_run(Held)
    await every(dsn, COPY, 4)
    assert await one(dsn, "select count(*) from oban_jobs") == (5,)

    async with on_host(dsn, WORKFLOWS, resources=[probe]) as mesh:
        await probe.begun.wait()

        async def others_done() -> bool:
            (count,) = await one(dsn, "select count(*) from oban_jobs where state = 'completed'")
            return bool(count == 4)

        await eventually(others_done)
        probe.gate.set()
        details = await ended(mesh, run.id)
        await delivered(dsn)
    assert probe.calls == ["held"]
    assert [(a.number, str(a.status)) for a in step_of(details, "work").attempts] == [
        (1, "completed")
    ]


@conforms("S57", "S60", "S74")
async def test_a_job_of_an_ended_run_does_nothing(mesh: Mesh, dsn: str, probe: Probe) -> None:
    run = await play(mesh, ThreeSteps)
    assert probe.calls == ["a", "b", "c"]
    for name in ("a", "b", "c"):
        await every(
            dsn,
            "insert into oban_jobs (queue, worker, args, max_attempts) values"
            " ('squid_mesh', 'squid_mesh.squid_mesh',"
            "  jsonb_build_object('run', %s::text, 'step', %s::text), 32767)",
            run.id,
            name,
        )
    await delivered(dsn)
    assert await history(mesh, run.id) == run
    assert probe.calls == ["a", "b", "c"]


async def test_our_jobs_are_as_oban_s_own(dsn: str) -> None:
    """We insert them by the hundred with SQL of ours: in every column as Oban would one by one."""
    async with own_pool(dsn) as pool, oban_on(pool, {}) as oban:
        async with Mesh(pool, oban=oban, workflows=[Held], resources=[Probe()]) as mesh:
            run = await mesh.start_run(Held)
        args = {"run": str(run.id), "step": "work"}
        worker = "squid_mesh.squid_mesh"
        await oban.enqueue(
            Job(worker=worker, queue=QUEUE, args=args, priority=5, max_attempts=32767)
        )
    same = "select distinct to_jsonb(j) - 'id' - 'inserted_at' - 'scheduled_at' from oban_jobs j"
    assert len(await every(dsn, same)) == 1
    assert await one(dsn, "select count(*) from oban_jobs") == (2,)


@conforms("S84")
async def test_a_job_of_no_run_does_no_harm(mesh: Mesh, dsn: str, probe: Probe) -> None:
    await every(
        dsn,
        "insert into oban_jobs (queue, worker, args, max_attempts) values ('squid_mesh',"
        " 'squid_mesh.squid_mesh', jsonb_build_object('run', %s::text, 'step', 'x'), 32767)",
        uuid4(),
    )
    await delivered(dsn)
    assert (await play(mesh, ThreeSteps)).status == "completed"


async def test_steps_go_to_the_queues_they_name(mesh: Mesh, dsn: str, probe: Probe) -> None:
    run = await play(mesh, TwoQueues)
    assert run.status == "completed"
    assert probe.calls == ["a", "b", "c"]
    queues = await every(dsn, "select step, queue from squid_mesh.steps order by step")
    assert queues == [("a", None), ("b", "other"), ("c", None)]


async def test_a_step_whose_queue_nobody_serves_waits(dsn: str, probe: Probe) -> None:
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as mesh:
        run = await mesh.start_run(TwoQueues)

        async def handed_over() -> bool:
            return statuses(await history(mesh, run.id))["b"] == "pending"

        await eventually(handed_over)
        details = await history(mesh, run.id)
    assert details.status == "running"
    assert details.current_steps == ("b",)
    assert await every(dsn, "select queue, state from oban_jobs where state = 'available'") == [
        ("other", "available")
    ]


@conforms("S64")
async def test_of_many_claims_at_once_one_is_made(dsn: str) -> None:
    async with on_host(dsn, WORKFLOWS, queues={}) as mesh:
        runs = [await mesh.start_run(Held) for _ in range(20)]
    writer = [Writer(Statements(), Queueing(QUEUE, "w"), boot) for boot in range(1, 5)]

    async def claim(boot: Writer) -> list[object]:
        async with await connect_committer(dsn) as connection:
            claims = [Claim(run.id, "work") for run in runs]
            outcomes: list[object] = []
            while claims:
                got = await boot.claim(connection, claims)
                pairs = list(zip(claims, got, strict=True))
                outcomes += [o for _, o in pairs if isinstance(o, Claimed | Nothing)]
                claims = [c for c, o in pairs if not isinstance(o, Claimed | Nothing)]
            return outcomes

    outcomes = [o for made in await asyncio.gather(*map(claim, writer)) for o in made]
    made = [outcome for outcome in outcomes if isinstance(outcome, Claimed)]
    assert sorted(claimed.run_id for claimed in made) == sorted(run.id for run in runs)
    assert {claimed.attempt for claimed in made} == {1}
    assert await one(dsn, "select sum(running), sum(queued) from squid_mesh.runs") == (20, 0)


@conforms("S119", "S120", "S123")
async def test_siblings_that_end_together_start_their_joins_once(
    mesh: Mesh, probe: Probe, dsn: str
) -> None:
    """Many rounds, in two processes' worth of committers: in one flush, or in several."""
    queues = {QUEUE: 10, "other": 1}
    async with on_host(dsn, WORKFLOWS, resources=[probe], queues=queues, name="another"):
        for _ in range(3):
            runs = [await mesh.start_run(Siblings, Numbers(number=n)) for n in range(40)]
            for number, run in enumerate(runs):
                details = await ended(mesh, run.id)
                assert details.status == "completed"
                assert details.output(Siblings.both) == 2 * number + 4
                assert all(len(state.attempts) == 1 for state in details.steps)
    assert probe.calls == ["last"] * 120
    assert await every(dsn, "select 1 from squid_mesh.attempts") == []


@conforms("S82")
async def test_an_early_job_changes_nothing(mesh: Mesh, dsn: str, probe: Probe) -> None:
    run = await mesh.start_run(Retried)

    async def failed() -> bool:
        return step_of(await history(mesh, run.id), "work").status == "scheduled"

    await eventually(failed)
    await advance(dsn, timedelta(minutes=59))
    before = await history(mesh, run.id)
    await every(dsn, "update oban_jobs set scheduled_at = timezone('UTC', now())")

    async def put_back() -> bool:
        rows = "select 1 from oban_jobs where state = 'scheduled' and meta ? 'snoozed'"
        return bool(await every(dsn, rows))

    await eventually(put_back)
    assert await history(mesh, run.id) == before
    assert probe.calls == ["attempt 1"]
    await advance(dsn, timedelta(minutes=1, seconds=1))
    assert (await ended(mesh, run.id)).status == "completed"
    assert probe.calls == ["attempt 1", "attempt 2"]


async def test_a_long_run_hands_over_when_its_slice_is_used_up(
    mesh: Mesh, dsn: str, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("squid_mesh.runtime.jobs.SLICE_STEPS", 2)
    run = await play(mesh, ThreeSteps)
    assert run.status == "completed"
    # A run's last job goes with the run; the one that handed over is left to Oban.
    left = await one(dsn, "select count(*) from oban_jobs where args->>'run' = %s", str(run.id))
    assert left == (1,)
