"""SIGTERM to real processes: what they finish, what they hand over, and how soon they are gone."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from squid_mesh import NoPayload, Workflow
from tests.clock import every, one
from tests.integration.leaving import (
    Worker,
    are_ended,
    attempts,
    begun_at,
    claimed,
    has_no_gaps,
    have_ended,
    start,
    worker,
)
from tests.integration.shutdown_process import (
    HEARTBEAT,
    STEPS,
    Busy,
    Deaf,
    DeafOnce,
    Held,
    Stuck,
    name_of,
)
from tests.meshes import eventually

SOON = 1.5
"""Seconds on top of what is promised, for a machine that has other things to do."""

A_HEARTBEAT = HEARTBEAT.total_seconds() + SOON

NO_LEASE = 10.0
"""Seconds that are far from a lease."""

RUNS = 8

MORE_THAN_ONE_TAKES = 25


async def test_under_load_runs_go_on_elsewhere_without_a_gap(dsn: str) -> None:
    async with worker(dsn, grace=5.0) as leaving, worker(dsn, grace=5.0) as staying:
        await leaving.opens()
        await start(dsn, Busy, RUNS)
        await claimed(dsn, leaving.boot, "step_05", RUNS)
        await staying.opens()
        leaving.terminate()
        stopping = await leaving.says_when("stopping")
        down = await leaving.says_when("down")
        assert await leaving.is_gone() == 0
        await are_ended(dsn)

    assert down - stopping < A_HEARTBEAT, "no body takes so long"
    assert await every(dsn, "select 1 from squid_mesh.attempts") == []
    steps = "select count(*), min(attempt), max(attempt) from squid_mesh.steps"
    assert await one(dsn, steps) == (RUNS * STEPS, 1, 1)
    handed_over = await every(
        dsn,
        """
        select extract(epoch from next.started_at - last.finished_at)::float8
        from squid_mesh.steps last join squid_mesh.steps next
          on next.run_id = last.run_id and next.claim = %s
        where last.claim = %s
          and last.step = (select max(step) from squid_mesh.steps s
                           where s.run_id = last.run_id and s.claim = last.claim)
          and next.step = (select min(step) from squid_mesh.steps s
                           where s.run_id = next.run_id and s.claim = next.claim)
        """,
        staying.boot,
        leaving.boot,
    )
    assert len(handed_over) == RUNS
    assert max(gap for (gap,) in handed_over) < NO_LEASE


async def test_a_process_that_ends_claims_nothing_and_finishes_what_it_has(dsn: str) -> None:
    async with worker(dsn, grace=30.0) as leaving, worker(dsn, grace=0.0) as staying:
        await leaving.opens()
        (run,) = await start(dsn, Held, 1)
        assert await leaving.says("begun") == [str(run), "1"]
        await start(dsn, Busy, RUNS)
        await claimed(dsn, leaving.boot, "step_05", RUNS)
        await staying.opens()
        leaving.terminate()
        stopping = await leaving.says_when("stopping")
        await claimed(dsn, staying.boot, name_of(STEPS - 1), RUNS)
        await start(dsn, Busy, RUNS)
        await claimed(dsn, staying.boot, name_of(STEPS - 1), 2 * RUNS)

        leaving.tell("well done")
        await leaving.says_when("down")
        assert await leaving.is_gone() == 0
        await are_ended(dsn)

    last_claim = "select max(started_at) from squid_mesh.steps where claim = %s"
    (moment,) = await one(dsn, last_claim, leaving.boot)
    assert moment.timestamp() < stopping + SOON
    assert await attempts(dsn, "work") == [(1, "completed", leaving.boot)]
    assert await attempts(dsn, "last") == [(1, "completed", staying.boot)]
    assert await every(dsn, "select 1 from squid_mesh.attempts") == []


async def test_what_a_process_hands_over_while_it_ends_goes_on_at_once(dsn: str) -> None:
    async with worker(dsn, grace=30.0) as leaving, worker(dsn, grace=0.0) as staying:
        await leaving.opens()
        for _ in await start(dsn, Held, RUNS):
            await leaving.says("begun")
        await staying.opens()
        leaving.terminate()
        await leaving.says_when("stopping")
        for done in range(RUNS):
            leaving.tell("well done")
            await have_ended(dsn, done + 1)

    assert [boot for _, _, boot in await attempts(dsn, "last")] == [staying.boot] * RUNS
    gaps = await every(
        dsn,
        """
        select extract(epoch from next.started_at - last.finished_at)::float8
        from squid_mesh.steps last join squid_mesh.steps next using (run_id)
        where last.step = 'work' and next.step = 'last'
        """,
    )
    assert max(gap for (gap,) in gaps) < A_HEARTBEAT


@pytest.mark.parametrize("workflow", [Stuck, DeafOnce])
async def test_bodies_that_do_not_end_do_not_hold_a_process(
    dsn: str, workflow: type[Workflow[NoPayload]]
) -> None:
    """Nor do they hold their steps: those are released at once, long before the lease is over."""
    async with worker(dsn, grace=0.5) as leaving, worker(dsn, grace=0.0) as staying:
        await leaving.opens()
        await start(dsn, workflow, 1)
        await claimed(dsn, leaving.boot, "work")
        await staying.opens()
        asked = time.monotonic()
        leaving.terminate()
        await leaving.says_when("stopping")
        down = await leaving.says_when("down")
        assert await leaving.is_gone() == 0
        assert time.monotonic() - asked < 0.5 + SOON
        await are_ended(dsn)

    assert await attempts(dsn, "work") == [
        (1, "interrupted", leaving.boot),
        (2, "completed", staying.boot),
    ]
    assert await begun_at(dsn, "work", 2) - down < A_HEARTBEAT
    assert await attempts(dsn, "last") == [(1, "completed", staying.boot)]


async def test_a_body_that_hears_no_cancellation_does_not_hold_the_mesh(dsn: str) -> None:
    """What then keeps the process is asyncio's own end, which waits for every task."""
    async with worker(dsn, grace=0.5) as leaving, worker(dsn, grace=0.0) as staying:
        await leaving.opens()
        await start(dsn, Deaf, 1)
        await claimed(dsn, leaving.boot, "work")
        await staying.opens()
        leaving.terminate()
        stopping = await leaving.says_when("stopping")
        down = await leaving.says_when("down")
        await are_ended(dsn)

    assert down - stopping < 0.5 + SOON
    assert await attempts(dsn, "work") == [
        (1, "interrupted", leaving.boot),
        (2, "completed", staying.boot),
    ]
    assert await begun_at(dsn, "work", 2) - down < A_HEARTBEAT


async def test_what_is_left_behind_is_left_to_whoever_comes(dsn: str) -> None:
    """Nobody is there when the last process ends; the next one goes on at once."""
    async with worker(dsn, grace=0.0) as leaving:
        await leaving.opens()
        await start(dsn, Stuck, 3)
        await start(dsn, Busy, RUNS)
        await claimed(dsn, leaving.boot, "step_05", RUNS)
        leaving.terminate()
        await leaving.says_when("stopping")
        await leaving.says_when("down")
        assert await leaving.is_gone() == 0
    assert await every(dsn, "select 1 from squid_mesh.workers") == []

    async with worker(dsn, grace=0.0) as heir:
        await heir.opens()
        opened = time.time()
        await are_ended(dsn)
    assert await begun_at(dsn, "work", 2) - opened < A_HEARTBEAT
    await has_no_gaps(dsn)
    last = "select distinct claim from squid_mesh.steps where step = %s"
    assert await every(dsn, last, name_of(STEPS - 1)) == [(heir.boot,)]


async def test_to_ask_again_changes_nothing(dsn: str) -> None:
    """A second SIGTERM, or more: what is under way still has its time."""
    async with worker(dsn, grace=30.0) as leaving:
        await leaving.opens()
        await start(dsn, Held, 1)
        await leaving.says("begun")
        leaving.terminate()
        await leaving.says_when("stopping")
        for _ in range(3):
            leaving.terminate()
        leaving.tell("well done")
        await leaving.says_when("down")
        assert await leaving.is_gone() == 0
    assert [status for _, status, _ in await attempts(dsn, "work")] == ["completed"]


async def test_to_insist_ends_it_at_once(dsn: str) -> None:
    """Ctrl-C twice, in a program that leaves that to asyncio: whoever is left takes over."""
    lease = timedelta(seconds=1)
    async with worker(dsn, 30.0, lease) as leaving, worker(dsn, 0.0, lease) as staying:
        await leaving.opens()
        await start(dsn, Stuck, 1)
        await claimed(dsn, leaving.boot, "work")
        leaving.process.send_signal(signal.SIGINT)
        await stops_fetching(dsn)
        asked = time.monotonic()
        leaving.process.send_signal(signal.SIGINT)
        assert await leaving.is_gone() != 0
        assert time.monotonic() - asked < 3 + SOON
        await staying.opens()
        await are_ended(dsn)
    assert await attempts(dsn, "work") == [
        (1, "interrupted", leaving.boot),
        (2, "completed", staying.boot),
    ]


async def stops_fetching(dsn: str) -> None:
    """Wait until a process that ends has said so to the others."""

    async def is_paused() -> bool:
        paused = "select 1 from oban_producers where (meta ->> 'paused')::bool"
        return bool(await every(dsn, paused))

    await eventually(is_paused)


async def test_a_rolling_restart_loses_no_time_but_of_steps_under_way(dsn: str) -> None:
    """Two workers under load are replaced one by one, as a deployment does."""
    async with AsyncExitStack() as stack:
        old: list[Worker] = []
        new: list[Worker] = []
        for processes in (old, new):
            starting = [stack.enter_async_context(worker(dsn, grace=10.0)) for _ in range(2)]
            processes.extend(await asyncio.gather(*starting))
        for process in old:
            await process.opens()
        await start(dsn, Busy, MORE_THAN_ONE_TAKES)
        for leaving, coming in zip(old, new, strict=True):
            await claimed(dsn, leaving.boot, "step_05")
            await coming.opens()
            leaving.terminate()
            await leaving.says_when("stopping")
            await leaving.says_when("down")
            assert await leaving.is_gone() == 0
            await start(dsn, Busy, MORE_THAN_ONE_TAKES)
        await are_ended(dsn)

    assert await every(dsn, "select 1 from squid_mesh.attempts") == []
    ((longest, median),) = await every(
        dsn,
        """
        select max(gap), percentile_cont(0.5) within group (order by gap)
        from (
          select extract(epoch from started_at - lag(finished_at) over in_run)::float8 as gap
          from squid_mesh.steps window in_run as (partition by run_id order by step)
        ) gaps
        """,
    )
    assert median < 0.05, "steps follow each other"
    assert longest < A_HEARTBEAT, "a run that changes process waits for nothing but its job"
    claims = "select distinct claim from squid_mesh.steps"
    boots = {boot for (boot,) in await every(dsn, claims)}
    assert boots == {process.boot for process in [*old, *new]}
