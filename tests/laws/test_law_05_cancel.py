"""After `cancel_run` has returned, no claim of that run succeeds.

With `conn=`: after the host's commit. A body whose claim was already durable may still run once;
its result is recorded and nothing follows it.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection

from squid_mesh import InvalidTransition, Mesh, Run, RunNotFound, RunStatus, Workflow
from squid_mesh.store.records import Claim, Ended, Nothing, Stopped
from tests.clock import advance, every
from tests.conformance import conforms
from tests.laws.journal import Journal
from tests.laws.processes import workers
from tests.laws.records import KINDS, record
from tests.laws.workflows import (
    WORKFLOWS,
    Chain,
    Doomed,
    Fan,
    Gated,
    Held,
    HeldTogether,
    Long,
    LongSleep,
    RetriedLater,
)
from tests.laws.worlds import LONE, STATEMENTS, all_ended, hands, started, tables, unsound
from tests.meshes import ended, eventually, history, on_host, play, statuses

SEED = 5

type Cancel = Callable[[Mesh, UUID], Awaitable[Run]]


@pytest.fixture
async def mesh(dsn: str, journal: Journal) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS, resources=[journal]) as mesh:
        yield mesh


async def by_itself(mesh: Mesh, run_id: UUID) -> Run:
    return await mesh.cancel_run(run_id)


async def with_the_host(mesh: Mesh, run_id: UUID) -> Run:
    async with mesh._pool.connection() as connection:
        return await mesh.cancel_run(run_id, conn=connection)  # committed at the block's end


in_both_ways = pytest.mark.parametrize("cancel", [by_itself, with_the_host])


async def comes_to(dsn: str, run_id: UUID, status: str) -> None:
    """Wait until a run has a status, and no body."""
    query = "select 1 from squid_mesh.runs where id = %s and status = %s and running = 0"

    async def has() -> bool:
        return bool(await every(dsn, query, run_id, status))

    await eventually(has)


async def nothing_can_be_claimed(dsn: str, run_id: UUID) -> None:
    """Whatever job may come: no step of the run can be claimed."""
    names = await every(dsn, "select step from squid_mesh.steps where run_id = %s", run_id)
    before = await tables(dsn, run_id)
    async with hands(dsn, 1) as (hand,):
        outcomes = await hand.claim(*(Claim(run_id, name) for (name,) in names))
    assert set(outcomes) == {Nothing()}
    assert await tables(dsn, run_id) == before


# in every state


@conforms("S141")
@in_both_ways
async def test_a_run_that_has_not_begun(dsn: str, journal: Journal, cancel: Cancel) -> None:
    async with on_host(dsn, WORKFLOWS, queues={}) as idle:
        run = (await idle.start_run(Fan)).id
        assert (await cancel(idle, run)).status == "cancelled"
        await nothing_can_be_claimed(dsn, run)
        assert await every(dsn, "select 1 from oban_jobs") == []
    async with on_host(dsn, WORKFLOWS, resources=[journal]) as mesh:
        await play(mesh, Chain)
        assert set(statuses(await history(mesh, run)).values()) == {"cancelled"}
    assert await journal.steps_of(run) == []
    assert await unsound(dsn) == []


@conforms("S57", "S142", "S143")
@in_both_ways
@pytest.mark.parametrize(
    ("workflow", "status"), [(RetriedLater, "retrying"), (LongSleep, "running"), (Gated, "paused")]
)
async def test_a_run_with_nothing_under_way(
    mesh: Mesh,
    dsn: str,
    journal: Journal,
    cancel: Cancel,
    workflow: type[Workflow[Any]],
    status: str,
) -> None:
    """Retrying, asleep, at a pause: it has ended at once, and no time brings it back."""
    run = (await mesh.start_run(workflow)).id
    await comes_to(dsn, run, status)
    bodies = await journal.steps_of(run)
    assert (await cancel(mesh, run)).status == "cancelled"
    await nothing_can_be_claimed(dsn, run)
    assert await every(dsn, "select 1 from oban_jobs where state = 'scheduled'") == []
    await advance(dsn, timedelta(days=40))
    await play(mesh, Chain)
    assert (await history(mesh, run)).status == "cancelled"
    assert await journal.steps_of(run) == bodies
    assert await unsound(dsn) == []


@conforms("S61", "S75", "S83", "S142", "S146")
@in_both_ways
async def test_a_run_with_a_body_under_way(
    mesh: Mesh, dsn: str, journal: Journal, cancel: Cancel
) -> None:
    run = (await mesh.start_run(Held)).id
    await journal.has(1, "work")
    assert (await cancel(mesh, run)).status == "cancelling"
    await nothing_can_be_claimed(dsn, run)
    assert await unsound(dsn) == []
    await journal.let_go(run)
    details = await ended(mesh, run)
    assert details.status == "cancelled"
    assert details.context == {"before": "before", "work": "work"}
    assert await journal.steps_of(run) == ["before", "work"]
    assert await unsound(dsn) == []


@conforms("S61")
@in_both_ways
async def test_a_run_with_several_bodies_under_way(
    mesh: Mesh, dsn: str, journal: Journal, cancel: Cancel
) -> None:
    run = (await mesh.start_run(HeldTogether)).id
    await journal.has(3, "x_")
    assert (await cancel(mesh, run)).status == "cancelling"
    assert statuses(await history(mesh, run))["end"] == "cancelled"
    await nothing_can_be_claimed(dsn, run)
    await journal.let_go(run)
    details = await ended(mesh, run)
    assert details.status == "cancelled"
    assert details.context == {"x0": "x0", "x1": "x1", "x2": "x2"}
    assert sorted(await journal.steps_of(run)) == ["x0", "x1", "x2"]
    assert await unsound(dsn) == []


@conforms("S61", "S129", "S146")
@pytest.mark.parametrize("kind", KINDS)
async def test_whatever_the_body_comes_to_nothing_follows(dsn: str, kind: str) -> None:
    async with hands(dsn, 1) as (hand,):
        (run,) = await started(dsn, hand, LONE, 1)
        (claimed,) = await hand.claimed(Claim(run, "only"))
        await cancelled(dsn, run)
        (outcome,) = await hand.advance(record(kind, claimed))
        assert outcome in {Stopped(), Ended(RunStatus.CANCELLED)}, outcome
        rows = await every(dsn, "select step, status from squid_mesh.steps")
        assert await every(dsn, "select status from squid_mesh.runs") == [("cancelled",)]
        assert [step for step, _ in rows] == ["only"]
        assert rows[0][1] in {"completed", "failed", "cancelled"}
    assert await every(dsn, "select 1 from oban_jobs where state = 'scheduled'") == []
    assert await unsound(dsn) == []


async def cancelled(dsn: str, run_id: UUID) -> None:
    """Cancel at the level of statements, as a run of a shape has no workflow."""
    async with await AsyncConnection.connect(dsn) as connection:
        await connection.execute(STATEMENTS["lock_run"], {"run": run_id})
        facts = {"run": run_id, "actor": None, "comment": None, "rest": STATEMENTS.rest}
        await connection.execute(STATEMENTS["cancel_run"], facts)


@pytest.mark.parametrize("kind", ["is parked", "is tried again"])
async def test_a_step_without_a_claim_is_not_given_a_job_again(dsn: str, kind: str) -> None:
    async with hands(dsn, 1) as (hand,):
        (run,) = await started(dsn, hand, LONE, 1)
        (claimed,) = await hand.claimed(Claim(run, "only"))
        await hand.advance(record(kind, claimed))
        await cancelled(dsn, run)
        await advance(dsn, timedelta(days=1))
        assert await hand.writer.release_parked(hand.connection, [("lone", "only")]) == 0
        assert await hand.writer.requeue_overdue(hand.connection, overdue=0.0, silence=0.0) == 0
        assert await hand.claim(Claim(run, "only")) == [Nothing()]
    assert await unsound(dsn) == []


# what it says, and to whom


@conforms("S144")
async def test_cancelling_again_changes_nothing(mesh: Mesh, dsn: str, journal: Journal) -> None:
    run = (await mesh.start_run(Held)).id
    await journal.has(1, "work")
    await mesh.cancel_run(run, actor="ann")
    before = await tables(dsn)
    assert (await mesh.cancel_run(run, actor="bob")).status == "cancelling"
    assert await tables(dsn) == before
    await journal.let_go(run)
    await ended(mesh, run)
    before = await tables(dsn)
    assert (await mesh.cancel_run(run)).status == "cancelled"
    assert await tables(dsn) == before


@conforms("S56", "S144")
@pytest.mark.parametrize("workflow", [Chain, Doomed])
async def test_a_run_that_has_ended_is_left_alone(
    mesh: Mesh, dsn: str, workflow: type[Workflow[Any]]
) -> None:
    run = await play(mesh, workflow)
    before = await tables(dsn)
    with pytest.raises(InvalidTransition):
        await mesh.cancel_run(run.id)
    with pytest.raises(RunNotFound):
        await mesh.cancel_run(uuid4())
    assert await tables(dsn) == before


async def test_rolled_back_it_has_not_happened(mesh: Mesh, dsn: str, journal: Journal) -> None:
    run = (await mesh.start_run(Held)).id
    asleep = (await mesh.start_run(LongSleep)).id
    await journal.has(1, "work")
    await comes_to(dsn, asleep, "running")
    its_job = "select j::text from oban_jobs j where state = 'scheduled'"
    before = await tables(dsn), await every(dsn, its_job)
    async with await AsyncConnection.connect(dsn) as connection:
        assert (await mesh.cancel_run(run, conn=connection)).status == "cancelling"
        assert (await mesh.cancel_run(asleep, conn=connection)).status == "cancelled"
        await connection.rollback()
    assert await tables(dsn) == before[0]
    assert await every(dsn, its_job) == before[1]
    await journal.let_go(run)
    assert (await ended(mesh, run)).status == "completed"


# against everybody else


@conforms("S58", "S83")
async def test_raced_against_two_processes_that_drive_the_runs(dsn: str, journal: Journal) -> None:
    """What is claimed when a cancel has returned is all that ever is."""
    chance = random.Random(SEED)  # noqa: S311 (an order, not a secret)
    async with (
        on_host(dsn, WORKFLOWS, queues={}) as idle,
        workers(dsn, 2, queues={"squid_mesh": 15}),
    ):
        begun = [*await idle.start_runs(Long, [{}] * 80), *await idle.start_runs(Fan, [{}] * 40)]
        left = [run.id for run in begun]
        chance.shuffle(left)
        await journal.has(20)
        found = await asyncio.gather(*(cancel_each(dsn, idle, left, chance) for _ in range(3)))
        seen = {run: claims for part in found for run, claims in part.items()}
        await eventually(lambda: all_ended(dsn))
    async with await AsyncConnection.connect(dsn, autocommit=True) as observer:
        assert {run: await claims_of(observer, run) for run in seen} == seen
    assert sum(bool(claims) for claims in seen.values()) >= 20, "the race wasn't one"
    bodies = await journal.bodies()
    assert set(bodies.values()) == {1}
    assert [b for b in bodies if b[0] in seen and (b[1], b[2]) not in seen[b[0]]] == []
    assert await journal.unclaimed() == []
    ends = await every(dsn, "select id, status from squid_mesh.runs")
    assert {status for run, status in ends if run in seen} == {"cancelled"}
    assert await unsound(dsn) == []


async def cancel_each(
    dsn: str, mesh: Mesh, left: list[UUID], chance: random.Random
) -> dict[UUID, set[tuple[str, int]]]:
    """Cancel what is left of the runs, in both ways; what was claimed of each right after."""
    seen: dict[UUID, set[tuple[str, int]]] = {}
    async with await AsyncConnection.connect(dsn, autocommit=True) as observer:
        while left:
            run = left.pop()
            try:
                await chance.choice([by_itself, with_the_host])(mesh, run)
            except InvalidTransition:  # it had ended
                continue
            seen[run] = await claims_of(observer, run)
    return seen


async def claims_of(observer: AsyncConnection[Any], run_id: UUID) -> set[tuple[str, int]]:
    query = "select step, number from squid_mesh.step_attempts where run_id = %s"
    return set(await (await observer.execute(query, (run_id,))).fetchall())
