"""A result is accepted only from the claim and attempt that hold the step.

Everything later or older is refused and changes nothing; the same result again is a success.
"""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from squid_mesh import SETTLED, Workflow
from squid_mesh.store.records import Claim, Claimed, Interrupted, Stale
from tests.clock import every
from tests.conformance import conforms
from tests.laws.journal import Journal
from tests.laws.processes import Process, worker
from tests.laws.records import KINDS, record
from tests.laws.worker import HEARTBEAT, LEASE
from tests.laws.workflows import Blocked, Careful, Chain, Held
from tests.laws.worlds import LONE, Hand, all_ended, hands, started, tables, unsound
from tests.meshes import ended, eventually, on_host

MINUTE = timedelta(minutes=1)


async def claimed_by(hand: Hand, dsn: str) -> Claimed:
    """A run whose only step the hand holds."""
    (run,) = await started(dsn, hand, LONE, 1)
    (claimed,) = await hand.claimed(Claim(run, "only"))
    return claimed


async def taken_over(hand: Hand, claimed: Claimed, boot: int) -> Claimed:
    """Another boot takes the step over."""
    found = Interrupted(claimed.run_id, "only", claimed.attempt, boot, "lone", 0)
    assert await hand.writer.retry_interrupted(hand.connection, [found])
    (taken,) = await hand.claimed(Claim(claimed.run_id, "only"))
    assert taken.attempt == claimed.attempt + 1
    return taken


async def jobs(dsn: str) -> list[tuple[object, ...]]:
    return await every(dsn, "select j::text from oban_jobs j order by id")


@conforms("S67", "S130", "S174")
@pytest.mark.parametrize("kind", KINDS)
async def test_what_an_older_claim_says_is_refused(dsn: str, kind: str) -> None:
    async with hands(dsn, 2) as (old, new):
        late = await claimed_by(old, dsn)
        current = await taken_over(new, late, old.writer.boot)
        before = await tables(dsn), await jobs(dsn)

        assert await old.advance(record(kind, late)) == [Stale()]
        assert await old.advance(record(kind, late, attempt=2)) == [Stale()]
        assert await new.advance(record(kind, late)) == [Stale()]
        assert await new.advance(record(kind, late, attempt=3)) == [Stale()]
        assert (await tables(dsn), await jobs(dsn)) == before

        assert await new.advance(record("completes and ends", current)) != [Stale()]
        before = await tables(dsn), await jobs(dsn)
        assert await new.advance(record(kind, current, attempt=1)) == [Stale()]
        assert await old.advance(record(kind, late)) == [Stale()]
        assert (await tables(dsn), await jobs(dsn)) == before
    assert await unsound(dsn) == []


@conforms("S67")
async def test_a_failure_by_an_older_claim_is_refused(dsn: str) -> None:
    """The way of failing that takes the run's lock first."""
    async with hands(dsn, 2) as (old, new):
        late = await claimed_by(old, dsn)
        await taken_over(new, late, old.writer.boot)
        before = await tables(dsn)
        for boot, attempt in ((old, 1), (old, 2), (new, 1), (new, 3)):
            failure = record("fails", late, attempt=attempt)
            assert await boot.writer.fail(boot.connection, failure) == Stale()
        assert await tables(dsn) == before


@conforms("S120")
@pytest.mark.parametrize("kind", KINDS)
async def test_the_same_result_again_is_a_success_that_changes_nothing(dsn: str, kind: str) -> None:
    """As it comes when the answer to its first flush was lost: written again, then confirmed."""
    async with hands(dsn, 1) as (hand,):
        result = record(kind, await claimed_by(hand, dsn))
        (outcome,) = await hand.advance(result)
        assert outcome != Stale()
        before = await tables(dsn), await jobs(dsn)

        (again,) = await hand.advance(result)
        confirmed = await hand.writer.confirm_progress(hand.connection, result, again)
        assert (await tables(dsn), await jobs(dsn)) == before
    assert confirmed == outcome


@conforms("S174")
async def test_a_process_that_stood_still_past_its_lease_changes_nothing(
    dsn: str, journal: Journal
) -> None:
    """Stopped in the middle of a body, taken over, and woken: while the heir works, and after."""
    async with worker(dsn) as zombie:
        run = await zombie.starts(Held)
        await journal.has(1, "work")
        zombie.stops()
        async with on_host(
            dsn, [Held], resources=[journal], heartbeat=HEARTBEAT, lease=LEASE
        ) as heir:
            await journal.has(2, "work")
            await journal.let_go(run)
            details = await ended(heir, run)
        before = await tables(dsn)
        zombie.goes_on()  # its body finds the gate open, and its result comes far too late
        await journal.has_passed(zombie.pid)
        await zombie.leaves()
        assert await tables(dsn) == before
    assert details.status == "completed"
    assert await journal.steps_of(run) == ["before", "work", "work", "after"]
    assert await unsound(dsn) == []


def heir_of(dsn: str, journal: Journal, *workflows: type[Workflow[Any]]) -> Any:
    return on_host(dsn, workflows, resources=[journal], heartbeat=HEARTBEAT, lease=LEASE)


async def test_a_process_that_stood_still_between_claim_and_body(
    dsn: str, journal: Journal
) -> None:
    """Its body still runs, once, as a body may run more than once; its result changes nothing."""
    async with worker(dsn, stands_still_before="b") as zombie:
        run = await start(dsn, Chain)
        await stands_still(zombie)
        async with heir_of(dsn, journal, Chain) as heir:
            details = await ended(heir, run)
        before = await tables(dsn)
        zombie.goes_on()
        await journal.has(4)
        await zombie.leaves()
        assert await tables(dsn) == before
    assert details.status == "completed"
    assert await journal.steps_of(run) == ["a", "b", "c", "b"]
    assert set((await journal.bodies()).values()) == {1}
    assert await unsound(dsn) == []


@pytest.mark.parametrize(("step", "becomes"), [("before", "failed"), ("work", "paused")])
async def test_a_body_that_runs_once_at_most_does_not_begin_after_its_process_stood_still(
    dsn: str, journal: Journal, step: str, becomes: str
) -> None:
    """What was decided of the step stands, whether its process has beaten since or not."""
    async with worker(dsn, stands_still_before=step) as zombie:
        run = await start(dsn, Careful)
        await stands_still(zombie)
        async with heir_of(dsn, journal, Careful) as heir:
            details = await ended(heir, run, until=SETTLED)
        before = await tables(dsn, run)
        zombie.goes_on()
        await zombie.starts(Chain)  # what it does first is done by the time that these have begun
        await journal.has(3 + (step == "work"))
        await zombie.leaves()
        assert await tables(dsn, run) == before
    assert details.status == becomes
    assert (await journal.steps_of(run)).count(step) == 0


async def test_a_process_that_nobody_missed_begins_it_after_all(dsn: str, journal: Journal) -> None:
    """It can't know that nobody has taken over: it gives the step back, and claims it again."""
    async with worker(dsn, stands_still_before="work", handover=0.2) as zombie:
        run = await start(dsn, Careful)
        await stands_still(zombie)
        await is_silent(dsn)
        zombie.goes_on()
        await eventually(lambda: all_ended(dsn))
        await zombie.leaves()
    assert await journal.bodies() == {(run, s, 1): 1 for s in ("before", "work", "after")}
    assert await unsound(dsn) == []


async def test_a_process_whose_loop_is_blocked_is_taken_over(dsn: str, journal: Journal) -> None:
    """Though it lives and beats, and its lease is a long one. Its late result is refused."""
    quick: dict[str, Any] = {"heartbeat": HEARTBEAT, "lease": MINUTE, "blocked": LEASE}
    in_seconds = {name: value.total_seconds() for name, value in quick.items()}
    async with worker(dsn, **in_seconds) as zombie:
        run = await start(dsn, Blocked)
        await journal.has(1, "work")
        async with on_host(dsn, [Blocked], resources=[journal], **quick) as heir:
            details = await ended(heir, run)
        beats = "select alive_at > clock_timestamp() - interval '10 s' from squid_mesh.workers"
        assert await every(dsn, beats) == [(True,)]
        before = await tables(dsn)
        await journal.let_go(run)
        await journal.has_passed(zombie.pid)
        await zombie.leaves()
        assert await tables(dsn) == before
    assert details.status == "completed"
    assert await journal.steps_of(run) == ["work", "work", "after"]
    assert await unsound(dsn) == []


async def start(dsn: str, workflow: type[Workflow[Any]]) -> UUID:
    """Start a run where nobody drives it but the worker."""
    async with on_host(dsn, [workflow], queues={}) as mesh:
        return (await mesh.start_run(workflow)).id


async def stands_still(process: Process) -> None:
    """Wait until it does."""

    async def does() -> bool:
        stat = Path(f"/proc/{process.pid}/stat")
        state = await asyncio.to_thread(stat.read_text, encoding="utf-8")
        return state.rpartition(")")[2].split()[0] == "T"

    await eventually(does)


async def is_silent(dsn: str) -> None:
    """Wait until the lease of the only process is over."""

    async def is_over() -> bool:
        silent = "select alive_at < clock_timestamp() - %s from squid_mesh.workers"
        return await every(dsn, silent, LEASE) == [(True,)]

    await eventually(is_over)
