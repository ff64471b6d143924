"""A completed step never changes again; attempts are numbered 1…n without gaps, and they stay."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from squid_mesh import RunStatus
from squid_mesh.runtime.cancelling import cancel
from squid_mesh.runtime.facts import NO_FACTS
from squid_mesh.store.records import Claim, Claimed, Ended, Interrupted
from tests.clock import every
from tests.conformance import conforms
from tests.laws.records import KINDS, record
from tests.laws.worlds import LONE, PAIR, STATEMENTS, Hand, hands, started, unsound

SEED = 3


@dataclass(frozen=True)
class Completed:
    """A completed step whose run goes on."""

    hand: Hand
    claimed: Claimed

    def found(self, attempt: int = 1) -> Interrupted:
        boot = self.hand.writer.boot
        return Interrupted(self.claimed.run_id, self.claimed.step, attempt, boot, "pair", 0)


async def advances(at: Completed) -> None:
    for kind in KINDS:
        for attempt in (1, 2):
            await at.hand.advance(record(kind, at.claimed, attempt=attempt))


async def advances_for_the_dead(at: Completed) -> None:
    for kind in KINDS:
        await at.hand.writer.advance_for(
            at.hand.connection,
            [record(kind, at.claimed)],
            claim=at.hand.writer.boot,
            ended_as="interrupted",
        )


async def claims(at: Completed) -> None:
    await at.hand.claim(Claim(at.claimed.run_id, at.claimed.step))


async def fails(at: Completed) -> None:
    for status in ("failed", "interrupted"):
        await at.hand.writer.fail(
            at.hand.connection,
            record("fails", at.claimed),
            claim=at.hand.writer.boot,
            status=status,
        )


async def fails_a_sibling(at: Completed) -> None:
    (right,) = await at.hand.claimed(Claim(at.claimed.run_id, "right"))
    assert await at.hand.writer.fail(at.hand.connection, record("fails", right)) == Ended(
        RunStatus.FAILED
    )


async def cancels(at: Completed) -> None:
    async with at.hand.connection.transaction():
        await cancel(at.hand.connection, STATEMENTS, at.claimed.run_id, NO_FACTS)


async def retries_as_interrupted(at: Completed) -> None:
    await at.hand.writer.retry_interrupted(at.hand.connection, [at.found(1), at.found(2)])


async def requeues(at: Completed) -> None:
    await every(at.hand.connection.info.dsn, "delete from oban_jobs")
    await at.hand.writer.requeue_overdue(at.hand.connection, overdue=-3600.0, silence=0.0)


async def releases(at: Completed) -> None:
    await at.hand.writer.release_parked(at.hand.connection, [("pair", at.claimed.step)])


ATTACKS: list[Callable[[Completed], Awaitable[None]]] = [
    advances,
    advances_for_the_dead,
    claims,
    fails,
    fails_a_sibling,
    cancels,
    retries_as_interrupted,
    requeues,
    releases,
]


@conforms("S60", "S67")
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_no_statement_changes_a_completed_step(
    dsn: str, attack: Callable[[Completed], Awaitable[None]]
) -> None:
    mine = "select s::text from squid_mesh.steps s where step = 'left'"
    async with hands(dsn, 1) as (hand,):
        (run,) = await started(dsn, hand, PAIR, 1)
        (left,) = await hand.claimed(Claim(run, "left"))
        await hand.advance(PAIR.completed(left, output=b'{"kept": 1.50}'))
        before = await every(dsn, mine)
        await attack(Completed(hand, left))
        assert await every(dsn, mine) == before
    assert await unsound(dsn) == []
    assert await every(dsn, "select 1 from squid_mesh.attempts where step = 'left'") == []


@conforms("S68")
async def test_attempts_are_numbered_without_gaps_whatever_happens(dsn: str) -> None:
    """Failures, interruptions, sleeps and parking in random order; what was written stays."""
    chance = random.Random(SEED)  # noqa: S311 (an order, not a secret)
    kept: list[tuple[str, ...]] = []
    async with hands(dsn, 1) as (hand,):
        (run,) = await started(dsn, hand, LONE, 1)
        for _ in range(60):
            (claimed,) = await hand.claimed(Claim(run, "only"))
            await one_of(chance, hand, claimed)
            rows = await every(dsn, "select a::text from squid_mesh.attempts a order by number")
            assert rows[: len(kept)] == kept
            kept = rows
            assert await unsound(dsn) == []
        (claimed,) = await hand.claimed(Claim(run, "only"))
        await hand.advance(LONE.completed(claimed))
    assert await unsound(dsn) == []
    numbers = await every(dsn, "select number, status from squid_mesh.step_attempts order by 1")
    assert [number for number, _ in numbers] == list(range(1, len(kept) + 2))
    assert {status for _, status in numbers[:-1]} == {"failed", "interrupted"}
    assert numbers[-1][1] == "completed"


async def one_of(chance: random.Random, hand: Hand, claimed: Claimed) -> None:
    """What may become of an attempt that isn't the last."""
    match chance.choice(["is tried again", "sleeps", "is parked", "is interrupted"]):
        case "is interrupted":
            found = Interrupted(
                claimed.run_id, "only", claimed.attempt, hand.writer.boot, "lone", 0
            )
            assert await hand.writer.retry_interrupted(hand.connection, [found])
        case "is parked":
            await hand.advance(record("is parked", claimed))
            assert await hand.writer.release_parked(hand.connection, [("lone", "only")]) == 1
        case kind:
            await hand.advance(record(kind, claimed, delay=0.0))
