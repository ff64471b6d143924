"""A statement meets rows that somebody has changed since its snapshot, and goes by the newer ones.

Forced: the statement stands at one run of its group, where it asks for the time, while another one
changes; then it goes on to that one, with a snapshot from before the change.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg import AsyncConnection

from squid_mesh import RunStatus
from squid_mesh.runtime.cancelling import cancel
from squid_mesh.runtime.facts import NO_FACTS
from squid_mesh.store.connections import connect
from squid_mesh.store.records import Claim, Claimed, Ended, Interrupted, Nothing, Released, Stopped
from tests.clock import every
from tests.laws.records import record
from tests.laws.worlds import LONE, PAIR, STATEMENTS, Hand, hand_of, new_boot, started, unsound
from tests.meshes import eventually

# The schema's time, which whoever asks for it on a slow connection waits for.
_SLOW_CLOCK = """
create or replace function squid_mesh.now() returns timestamptz language plpgsql as $$
begin
  if current_setting('tests.slow_clock', true) = 'on' then
    perform pg_advisory_xact_lock_shared(7);
  end if;
  return pg_catalog.now() + (select shift from squid_mesh.clock);
end $$
"""
_STANDS = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and pid = %s"

type Change = Callable[[Hand, Claimed], Awaitable[RunStatus]]


async def by_cancelling(hand: Hand, right: Claimed) -> RunStatus:
    """Somebody cancels the run."""
    async with hand.connection.transaction():
        await cancel(hand.connection, STATEMENTS, right.run_id, NO_FACTS)
    return RunStatus.CANCELLED


async def by_failing(hand: Hand, right: Claimed) -> RunStatus:
    """A sibling fails for good."""
    await hand.writer.fail(hand.connection, record("fails", right))
    return RunStatus.FAILED


in_both_ways = pytest.mark.parametrize("change", [by_cancelling, by_failing])


@pytest.fixture
async def hand(dsn: str) -> AsyncGenerator[Hand]:
    async with hand_of(dsn, await new_boot(dsn)) as hand:
        yield hand


@asynccontextmanager
async def standing_at_the_first[T](
    dsn: str, statement: Callable[[AsyncConnection[Any]], Coroutine[Any, Any, T]]
) -> AsyncGenerator[asyncio.Task[T]]:
    """A statement that has locked the first run of its group when the block begins.

    It goes on to the others when the block has ended, and is over afterwards.
    """
    await every(dsn, _SLOW_CLOCK)
    async with await connect(dsn) as connection, await AsyncConnection.connect(dsn) as host:
        await host.execute("select pg_advisory_xact_lock(7)")
        await connection.execute("set tests.slow_clock = on")
        task = asyncio.create_task(statement(connection))

        async def stands() -> bool:
            assert not task.done(), task
            return bool(await every(dsn, _STANDS, connection.info.backend_pid))

        await eventually(stands)
        yield task
        await host.rollback()
        await task


async def claimed_pair(dsn: str, hand: Hand) -> tuple[Claimed, Claimed, Claimed]:
    """A run of one step, and one whose two steps are under way beside each other."""
    (lone,), (pair,) = await started(dsn, hand, LONE, 1), await started(dsn, hand, PAIR, 1)
    claims = Claim(lone, "only"), Claim(pair, "left"), Claim(pair, "right")
    only, left, right = await hand.claimed(*claims)
    return only, left, right


@in_both_ways
async def test_a_completion(dsn: str, hand: Hand, change: Change) -> None:
    """It is kept, nothing follows it, and its run ends with the last body."""
    only, left, right = await claimed_pair(dsn, hand)
    records = [LONE.completed(only), PAIR.completed(left)]
    async with standing_at_the_first(dsn, lambda c: hand.writer.advance(c, records)) as flush:
        status = await change(hand, right)
    if status is RunStatus.FAILED:  # the failed step was the other body
        assert flush.result() == [Ended(RunStatus.COMPLETED), Ended(status)]
    else:
        assert flush.result() == [Ended(RunStatus.COMPLETED), Stopped()]
        assert await hand.advance(PAIR.completed(right)) == [Ended(status)]
    assert await every(dsn, "select step from squid_mesh.attempts where step <> 'right'") == []
    assert await unsound(dsn) == []


@in_both_ways
async def test_an_interruption(dsn: str, hand: Hand, change: Change) -> None:
    """It isn't tried again, and its run ends with it if nothing else is under way."""
    only, left, right = await claimed_pair(dsn, hand)
    found = [_found(only, hand), _found(left, hand)]
    async with standing_at_the_first(
        dsn, lambda c: hand.writer.retry_interrupted(c, found)
    ) as sweep:
        status = await change(hand, right)
    ended = status if status is RunStatus.FAILED else None
    assert sweep.result() == [
        Released(only.run_id, "only", 1, goes_on=True, outcome=None),
        Released(left.run_id, "left", 1, goes_on=False, outcome=ended),
    ]
    assert await unsound(dsn) == []


async def test_a_claim(dsn: str, hand: Hand) -> None:
    """It isn't had."""
    (lone,), (pair,) = await started(dsn, hand, LONE, 1), await started(dsn, hand, PAIR, 1)
    (right,) = await hand.claimed(Claim(pair, "right"))
    claims = [Claim(lone, "only"), Claim(pair, "left")]
    async with standing_at_the_first(dsn, lambda c: hand.writer.claim(c, claims)) as flush:
        await by_failing(hand, right)
    only, left = flush.result()
    assert isinstance(only, Claimed)
    assert left == Nothing()
    assert await unsound(dsn) == []


def _found(claimed: Claimed, hand: Hand) -> Interrupted:
    return Interrupted(
        run_id=claimed.run_id,
        step=claimed.step,
        attempt=claimed.attempt,
        claim=hand.writer.boot,
        definition=claimed.definition,
        before=0,
        trigger="manual",
        trace=None,
        age=0.0,
    )
