"""A join starts exactly once, when and only when all its dependencies have completed.

In the same flush, in another flush of the process, in another process.
"""

import asyncio
import random
from collections.abc import Sequence
from uuid import UUID

from squid_mesh import RunStatus
from squid_mesh.runtime.ledger import Ledger
from squid_mesh.store.records import Advanced, Claim, Claimed, Ended, Outcome, Progress
from tests.clock import every, one
from tests.conformance import conforms
from tests.laws.journal import Journal
from tests.laws.processes import workers
from tests.laws.workflows import Fan
from tests.laws.worlds import (
    PAIR,
    Hand,
    Shape,
    all_ended,
    hand_of,
    hands,
    joins_in,
    ledger_of,
    new_boot,
    started,
    taking,
    tally,
    unsound,
)
from tests.meshes import eventually, on_host

ROUNDS = 500
SIBLINGS = ("left", "right")

_JOINS = """
select status, attempt, open_dependencies, count(*)
from squid_mesh.steps where step = 'join' group by 1, 2, 3 order by 1, 2, 3
"""


async def claims_of(hand: Hand, runs: Sequence[UUID], step: str) -> list[Claimed]:
    return await hand.claimed(*(Claim(run_id, step) for run_id in runs))


async def ends(hand: Hand, siblings: Sequence[Claimed]) -> None:
    """Claim no join again, complete each, and see every run's end."""
    joins = [taking(claimed, "join") for claimed in siblings]
    assert await hand.advance(*map(PAIR.completed, joins)) == [Ended(RunStatus.COMPLETED)] * len(
        joins
    )


def check_pair(outcomes: Sequence[Outcome]) -> None:
    """One of two siblings takes the join along, the other nothing."""
    assert joins_in(outcomes) == ["join"], outcomes
    assert Advanced(None) in outcomes


@conforms("S123")
async def test_in_the_same_flush(dsn: str) -> None:
    async with hands(dsn, 1) as (hand,):
        runs = await started(dsn, hand, PAIR, ROUNDS)
        left, right = [await claims_of(hand, runs, step) for step in SIBLINGS]
        for first in range(0, ROUNDS, 10):
            pairs = [*left[first : first + 10], *right[first : first + 10]]
            random.shuffle(pairs)
            outcomes = await hand.advance(*map(PAIR.completed, pairs))
            for run_id in runs[first : first + 10]:
                check_pair([o for c, o in zip(pairs, outcomes, strict=True) if c.run_id == run_id])

        assert await every(dsn, _JOINS) == [("running", 1, 0, ROUNDS)]
        assert await unsound(dsn) == []
        await ends(hand, left)
    assert await tally(dsn) == {"completed": ROUNDS}
    assert await unsound(dsn) == []


@conforms("S123")
async def test_in_another_flush_of_the_process(dsn: str) -> None:
    """Two committers of one boot, which one event loop lets go at once."""
    writer = await new_boot(dsn)
    async with (
        hand_of(dsn, writer) as hand,
        ledger_of(dsn, writer) as one_ledger,
        ledger_of(dsn, writer) as other_ledger,
    ):
        runs = await started(dsn, hand, PAIR, ROUNDS)
        left, right = [await claims_of(hand, runs, step) for step in SIBLINGS]
        for siblings in zip(left, right, strict=True):
            check_pair(await race((one_ledger, other_ledger), siblings))

        assert await every(dsn, _JOINS) == [("running", 1, 0, ROUNDS)]
        assert await unsound(dsn) == []
        await ends(hand, left)
    assert await tally(dsn) == {"completed": ROUNDS}


async def race(ledgers: Sequence[Ledger], siblings: Sequence[Claimed]) -> list[Outcome]:
    records = [PAIR.completed(claimed) for claimed in siblings]
    pairs = zip(ledgers, records, strict=True)
    return await asyncio.gather(*(ledger.advance(record) for ledger, record in pairs))


@conforms("S123")
async def test_in_another_process(dsn: str) -> None:
    """Two boots; whoever takes the join is the one that it is claimed by."""
    async with hands(dsn, 2) as (here, there):
        runs = await started(dsn, here, PAIR, ROUNDS)
        left = await claims_of(here, runs, "left")
        right = await claims_of(there, runs, "right")
        for ours, theirs in zip(left, right, strict=True):
            outcomes = await asyncio.gather(
                here.advance(PAIR.completed(ours)), there.advance(PAIR.completed(theirs))
            )
            check_pair([outcome for found in outcomes for outcome in found])
            winner = here if joins_in(outcomes[0]) else there
            claim = "select claim from squid_mesh.steps where run_id = %s and step = 'join'"
            assert await claim_of(here, claim, ours.run_id) == winner.writer.boot

        assert await every(dsn, _JOINS) == [("running", 1, 0, ROUNDS)]
        assert await unsound(dsn) == []


async def claim_of(hand: Hand, query: str, run_id: UUID) -> int:
    row = await (await hand.connection.execute(query.encode(), (run_id,))).fetchone()
    assert row is not None
    return int(row[0])


@conforms("S108")
async def test_not_before_the_last_one_has_completed(dsn: str) -> None:
    async with hands(dsn, 1) as (hand,):
        (run,) = await started(dsn, hand, PAIR, 1)
        (left,) = await claims_of(hand, [run], "left")
        await hand.advance(PAIR.completed(left))
        assert await every(dsn, _JOINS) == [("waiting", 0, 1, 1)]
        again: Progress = PAIR.completed(left)
        await hand.advance(again)
        await hand.claim(Claim(run, "join"))
        assert await every(dsn, _JOINS) == [("waiting", 0, 1, 1)]
        assert await unsound(dsn) == []


@conforms("S123")
async def test_between_two_real_processes(dsn: str, journal: Journal) -> None:
    async with on_host(dsn, [Fan], queues={}) as mesh:
        await mesh.start_runs(Fan, [{}] * 40)
    async with workers(dsn, 2, queues={"squid_mesh": 20}) as both:

        async def is_over() -> bool:
            return await all_ended(dsn)

        await eventually(is_over)
        assert await journal.processes() == {process.pid for process in both}
    bodies = await journal.bodies()
    assert len(bodies) == 40 * 12
    assert set(bodies.values()) == {1}
    assert await tally(dsn) == {"completed": 40}
    assert await one(dsn, "select max(open_dependencies) from squid_mesh.steps") == (0,)
    assert await unsound(dsn) == []


async def test_siblings_that_are_claimed_together_have_all_that_is_stored(dsn: str) -> None:
    """It is read once for all of them; what a driver adds to it is its own."""
    names = "left", "middle", "right"
    tree = Shape("tree", {"root": ()} | dict.fromkeys(names, ("root",)))
    async with hands(dsn, 1) as (hand,):
        (run,) = await started(dsn, hand, tree, 1)
        (root,) = await hand.claimed(Claim(run, "root"))
        await hand.advance(tree.completed(root, output=b'{"seen": []}'))
        siblings = await hand.claimed(*(Claim(run, name) for name in names))
    for name, sibling in zip(names, siblings, strict=True):
        assert sibling.outputs == {"root": {"seen": []}}
        sibling.outputs[name] = "done"
        sibling.errors[name] = "broken"
