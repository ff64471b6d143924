"""A driver that has done its step takes another ready step of its run along: one, and only once.

Whoever has the step's job keeps it, and so does whoever locks it at this moment.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from squid_mesh.runtime.cancelling import cancel
from squid_mesh.runtime.facts import NO_FACTS
from squid_mesh.store.records import (
    Advanced,
    Claim,
    Claimed,
    Nothing,
    Outcome,
    Progress,
    Stale,
    Stopped,
)
from tests.clock import every, one
from tests.laws.worlds import STATEMENTS, Hand, Shape, ledger_of, started, unsound

PARTS = [f"x{n}" for n in range(6)]
FAN = Shape("parts", dict.fromkeys(PARTS, ()) | {"end": tuple(PARTS)})
JOBS = "select count(*) from oban_jobs where args ->> 'run' = %s"
RUNNING = "select count(*) from squid_mesh.steps where run_id = %s and status = 'running'"


def completed(claimed: Claimed) -> Progress:
    """The completion of a part, whose driver takes another one along."""
    return replace(FAN.completed(claimed), takes=True)


def taken(outcomes: Sequence[Outcome]) -> list[str]:
    """The steps that were taken along."""
    return [o.step for o in outcomes if isinstance(o, Advanced) and o.step is not None]


async def begun(dsn: str, hand: Hand, *steps: str) -> tuple[UUID, list[Claimed]]:
    """A run of which these steps are under way."""
    (run,) = await started(dsn, hand, FAN, 1)
    claims = [Claim(run, step) for step in steps]
    await every(
        dsn,
        "update oban_jobs set state = 'executing', attempted_at = timezone('UTC', now())"
        " where args ->> 'step' = any(%s)",
        list(steps),
    )
    return run, await hand.claimed(*claims)


async def test_each_of_a_flush_takes_another_one_with_its_job(dsn: str, two: list[Hand]) -> None:
    hand, _ = two
    run, claimed = await begun(dsn, hand, "x0", "x1")
    outcomes = await hand.advance(*map(completed, claimed))
    assert len(set(taken(outcomes))) == 2
    assert set(taken(outcomes)) <= set(PARTS) - {"x0", "x1"}
    assert await one(dsn, JOBS, str(run)) == (4,)  # two executing, two that nobody took
    assert await one(dsn, RUNNING, run) == (2,)
    assert await hand.claim(*(Claim(run, step) for step in taken(outcomes))) == [Nothing()] * 2
    assert await unsound(dsn) == []


async def test_one_whose_answer_was_lost_is_found(dsn: str, two: list[Hand]) -> None:
    """Its driver goes on with nothing; while another holds the run, nobody looks at it."""
    hand, _ = two
    run, (claimed,) = await begun(dsn, hand, "x0")
    record = completed(claimed)
    (step,) = taken(await hand.advance(record))
    again = await hand.writer.confirm_progress(hand.connection, record, Stale())
    assert again == Advanced(None)
    async with ledger_of(dsn, hand.writer) as ledger:
        found = await ledger.find_interrupted([], blocked=60.0)
        assert [(one.run_id, one.step, one.attempt) for one in found] == [(run, step, 1)]
        assert await ledger.find_interrupted([(run, None)], blocked=60.0) == []
        assert await ledger.find_interrupted([(run, step)], blocked=60.0) == []
        assert len(await ledger.find_interrupted([(run, "x5")], blocked=60.0)) == 1


async def test_there_may_be_fewer_than_drivers(dsn: str, two: list[Hand]) -> None:
    hand, _ = two
    _, claimed = await begun(dsn, hand, *PARTS[:5])
    outcomes = await hand.advance(*map(completed, claimed))
    assert taken(outcomes) == ["x5"]
    assert await unsound(dsn) == []


async def test_what_was_taken_is_done_once_and_the_join_comes_last(
    dsn: str, two: list[Hand]
) -> None:
    """One driver does all of it, and then the join, which goes before whatever is ready."""
    hand, _ = two
    run, (claimed,) = await begun(dsn, hand, "x0")
    done = ["x0"]
    while len(done) < len(PARTS):
        (outcome,) = await hand.advance(completed(claimed))
        (step,) = taken([outcome])
        claimed = replace(claimed, step=step, attempt=1)
        done.append(step)
    (last,) = await hand.advance(completed(claimed))
    assert sorted(done) == PARTS
    assert last == Advanced("end")
    assert await one(dsn, JOBS, str(run)) == (1,)
    assert await unsound(dsn) == []


@pytest.mark.parametrize(
    "somewhere_else",
    [
        "update oban_jobs set state = 'executing', attempted_at = timezone('UTC', now())",
        "update oban_jobs set state = 'scheduled'",
        "delete from oban_jobs",
        "update squid_mesh.steps set needs = 'billing:pay', due_at = null where status = 'pending'",
        "update squid_mesh.steps set queue = 'other' where status = 'pending'",
        "update squid_mesh.steps set attempt = 1 where status = 'pending'",
    ],
)
async def test_what_is_somebody_else_s_stays_so(
    dsn: str, two: list[Hand], somewhere_else: str
) -> None:
    """Its job is fetched, or put off, or lost; it is parked, in another queue, or tried again."""
    hand, _ = two
    _, (claimed,) = await begun(dsn, hand, "x0")
    await every(dsn, somewhere_else)
    assert await hand.advance(completed(claimed)) == [Advanced(None)]
    assert await every(dsn, "select 1 from squid_mesh.steps where status = 'running'") == []


async def test_a_job_that_is_being_fetched_isn_t_waited_for(dsn: str, two: list[Hand]) -> None:
    hand, other = two
    run, (claimed,) = await begun(dsn, hand, "x0")
    async with await AsyncConnection.connect(dsn) as fetching:
        await fetching.execute("select 1 from oban_jobs where state = 'available' for update")
        assert await hand.advance(completed(claimed)) == [Advanced(None)]
    claims = await other.claimed(*(Claim(run, step) for step in PARTS[1:]))
    assert len(claims) == 5
    assert await unsound(dsn) == []


async def test_nothing_is_taken_along_in_a_run_that_is_cancelled(dsn: str, two: list[Hand]) -> None:
    hand, other = two
    run, claimed = await begun(dsn, hand, "x0", "x1")
    async with other.connection.transaction():
        await cancel(other.connection, STATEMENTS, run, NO_FACTS)
    outcomes = await hand.advance(completed(claimed[0]))
    assert outcomes == [Stopped()]
    assert await unsound(dsn) == []
