"""A result is accepted only from the claim and attempt that hold the step.

Everything later or older is refused and changes nothing; the same result again is a success.
"""

import pytest

from squid_mesh.store.records import Claim, Claimed, Interrupted, Stale
from tests.clock import every
from tests.conformance import conforms
from tests.laws.journal import Journal
from tests.laws.processes import worker
from tests.laws.records import KINDS, record
from tests.laws.worker import HEARTBEAT, LEASE
from tests.laws.workflows import Held
from tests.laws.worlds import LONE, Hand, hands, started, tables, unsound
from tests.meshes import ended, on_host


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
