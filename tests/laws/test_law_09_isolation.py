"""One bad record, one slow step, one open host transaction never delays or fails another run."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from squid_mesh import Mesh, StepStatus, Workflow
from squid_mesh.store.committer import Refused
from squid_mesh.store.records import Advanced, Claim
from tests.clock import every
from tests.conformance import conforms
from tests.laws.journal import Journal
from tests.laws.records import record
from tests.laws.worker import HEARTBEAT, LEASE
from tests.laws.workflows import (
    ENDS,
    SHORT_SHAPES,
    WORKFLOWS,
    Chain,
    Echo,
    Held,
    HeldDoomed,
    HeldTogether,
    Numbered,
    Standing,
)
from tests.laws.worlds import (
    LONE,
    all_ended,
    dies,
    hand_of,
    hands,
    ledger_of,
    new_boot,
    started,
    unsound,
)
from tests.meshes import BOUND, QUEUE, ended, eventually, history, message_of, on_host, statuses

GROUP = 100
BAD = 37


@pytest.fixture
async def mesh(dsn: str, journal: Journal) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS, resources=[journal], queues={QUEUE: 20, "other": 2}) as mesh:
        yield mesh


async def others_end(mesh: Mesh, dsn: str, *, but: Sequence[UUID] = ()) -> None:
    """Start three runs of every shape; all of them end as they should."""
    async with asyncio.timeout(BOUND.total_seconds()):
        others = {w.__name__: await mesh.start_runs(w, [{}] * 3) for w in SHORT_SHAPES}
    alive = "select 1 from squid_mesh.runs where outcome is null and not id = any(%s) limit 1"

    async def are_over() -> bool:
        return not await every(dsn, alive, list(but))

    await eventually(are_over)
    for name, runs in others.items():
        for run in runs:
            assert (await mesh.inspect_run(run.id)).status == ENDS[name]


@asynccontextmanager
async def locked(dsn: str, query: str, *parameters: object) -> AsyncGenerator[None]:
    """A host's transaction that holds what a query finds."""
    async with await AsyncConnection.connect(dsn) as host:
        cursor = await host.execute(query.encode(), parameters)
        assert cursor.rowcount > 0
        yield
        await host.rollback()


# a host's open transaction


@pytest.mark.parametrize("workflow", [Held, HeldTogether, HeldDoomed])
async def test_a_run_that_a_host_holds_waits_alone(
    mesh: Mesh, dsn: str, journal: Journal, workflow: type[Workflow[Any]]
) -> None:
    """Its flush finds it held: lean, with a join, or with a failure that needs the lock."""
    run = (await mesh.start_run(workflow)).id
    await journal.has(1, "x_" if workflow is HeldTogether else "work")
    async with locked(dsn, "select 1 from squid_mesh.runs where id = %s for update", run):
        await journal.let_go(run)
        await others_end(mesh, dsn, but=[run])
        assert (await mesh.inspect_run(run)).status == "running"
    assert (await ended(mesh, run)).status == ("failed" if workflow is HeldDoomed else "completed")
    assert await unsound(dsn) == []


async def test_a_run_that_is_held_before_its_first_claim_waits_alone(
    dsn: str, journal: Journal
) -> None:
    async with on_host(dsn, WORKFLOWS, queues={}) as idle:
        run = (await idle.start_run(Chain)).id
    async with on_host(dsn, WORKFLOWS, resources=[journal], queues={QUEUE: 20, "other": 2}) as mesh:
        async with locked(dsn, "select 1 from squid_mesh.runs where id = %s for update", run):
            await others_end(mesh, dsn, but=[run])
            assert await journal.steps_of(run) == []
        assert (await ended(mesh, run)).status == "completed"


async def test_a_cancel_that_a_host_has_not_committed_delays_no_other_run(
    mesh: Mesh, dsn: str, journal: Journal
) -> None:
    run = (await mesh.start_run(Held)).id
    await journal.has(1, "work")
    async with await AsyncConnection.connect(dsn) as host:
        await host.execute("select 1")
        assert (await mesh.cancel_run(run, conn=host)).status == "cancelling"
        await journal.let_go(run)
        await others_end(mesh, dsn, but=[run])
        await host.commit()
    assert (await ended(mesh, run)).status == "cancelled"


async def test_a_key_that_a_host_holds_delays_no_other_run(mesh: Mesh, dsn: str) -> None:
    """However many wait for it: more than the pool has connections."""
    async with (
        asyncio.TaskGroup() as tasks,
        await AsyncConnection.connect(dsn) as host,
    ):
        held = await mesh.start_run(Chain, key="order-1", conn=host)
        waiting = [tasks.create_task(mesh.start_run(Chain, key="order-1")) for _ in range(15)]
        try:
            await others_end(mesh, dsn)
            assert not any(task.done() for task in waiting)
        finally:
            await host.commit()
    assert {task.result().id for task in waiting} == {held.id}


# a bad record


@pytest.mark.parametrize(
    "bad",
    [
        {"output": b'"a\0b"'},
        {"output": b"not JSON"},
        {"output": b'"\xff"'},
        {"status": "bogus"},
        {"status": StepStatus.SCHEDULED, "delay": 1e300, "error": b"{}"},
        {"next": ""},
    ],
    ids=["NUL", "not JSON", "not UTF-8", "a violated CHECK", "out of range", "an empty name"],
)
async def test_one_bad_record_of_a_group_of_a_hundred(dsn: str, bad: dict[str, Any]) -> None:
    writer = await new_boot(dsn)
    async with hand_of(dsn, writer) as hand, ledger_of(dsn, writer) as ledger:
        runs = await started(dsn, hand, LONE, GROUP)
        held = await hand.claimed(*(Claim(run, "only") for run in runs))
        records = [record("completes and goes on", claimed) for claimed in held]
        records[BAD] = record("completes and goes on", held[BAD], **bad)
        outcomes = await asyncio.gather(*map(ledger.advance, records), return_exceptions=True)

        if bad != {"next": ""}:  # which is a name like any other to the database
            assert isinstance(outcomes.pop(BAD), Refused)
            own = "select status, attempt from squid_mesh.steps where run_id = %s"
            assert await every(dsn, own, runs[BAD]) == [("running", 1)]
            await ledger.advance(record("fails", held[BAD]))
            assert await every(dsn, own, runs[BAD]) == [("failed", 1)]
        assert [o for o in outcomes if not isinstance(o, Advanced)] == []
    assert await unsound(dsn) == []


@conforms("S62", "S94")
async def test_a_result_that_the_database_refuses_fails_its_own_run(mesh: Mesh, dsn: str) -> None:
    refused = "alter table squid_mesh.steps add check (output::text <> '37')"
    await every(dsn, refused)
    runs = await mesh.start_runs(Echo, [Numbered(number=n) for n in range(GROUP)])
    for number, run in enumerate(runs):
        details = await ended(mesh, run.id)
        if number != BAD:
            assert details.status == "completed"
            continue
        assert details.status == "failed"
        assert statuses(details) == {"first": "failed", "last": "skipped"}
        assert "refused the result" in message_of(details)
    assert await unsound(dsn) == []


@conforms("S50", "S51")
async def test_a_start_that_the_database_refuses_fails_alone(mesh: Mesh, dsn: str) -> None:
    await every(dsn, "alter table squid_mesh.runs add check (payload->>'number' <> '37')")
    starts = (mesh.start_run(Echo, Numbered(number=n)) for n in range(GROUP))
    runs = await asyncio.gather(*starts, return_exceptions=True)
    failed = [number for number, run in enumerate(runs) if isinstance(run, BaseException)]
    assert failed == [BAD]


async def test_a_definition_that_cannot_be_read_stops_nobody_s_recovery(
    dsn: str, journal: Journal
) -> None:
    """Written by a version of tomorrow, say, whose runs are interrupted and parked here too."""
    async with on_host(dsn, WORKFLOWS, queues={}) as idle:
        run = (await idle.start_run(Chain)).id
    async with hands(dsn, 2) as (dead, parking):
        (unreadable, parked) = await started(dsn, dead, LONE, 2)
        await dead.claimed(Claim(unreadable, "only"), Claim(run, "a"))
        (claimed,) = await parking.claimed(Claim(parked, "only"))
        await parking.advance(record("is parked", claimed))
        await dies(dsn, dead.writer.boot)
    async with on_host(
        dsn, WORKFLOWS, resources=[journal], heartbeat=HEARTBEAT, lease=LEASE
    ) as mesh:
        details = await ended(mesh, run)
        assert [str(a.status) for a in details.steps[0].attempts] == ["interrupted", "completed"]


# a slow step


async def test_bodies_that_take_their_time_delay_no_other_run(
    mesh: Mesh, dsn: str, journal: Journal
) -> None:
    """On the loop, in threads, several of a run: the places that they leave are enough."""
    slow = [
        (await mesh.start_run(workflow)).id for workflow in (Held, HeldTogether, Standing, Standing)
    ]
    await journal.has(3, "work")
    await journal.has(3, "x_")
    await others_end(mesh, dsn, but=slow)
    assert not await all_ended(dsn)
    await journal.let_go()
    for run in slow:
        assert (await ended(mesh, run)).status == "completed"
    assert (await history(mesh, slow[0])).context["work"] == "work"


async def test_a_group_of_failures_that_wait_for_held_runs_delays_no_other_failure(
    mesh: Mesh, dsn: str, journal: Journal
) -> None:
    """Failing takes a lock, and the lane for that is one connection."""
    held = [run.id for run in await mesh.start_runs(HeldDoomed, [{}] * 8)]
    await journal.has(8, "work")
    async with locked(dsn, "select 1 from squid_mesh.runs where id = any(%s) for update", held):
        for run in held:
            await journal.let_go(run)
        async with asyncio.timeout(timedelta(seconds=5).total_seconds()):
            await others_end(mesh, dsn, but=held)
    for run in held:
        assert (await ended(mesh, run)).status == "failed"
