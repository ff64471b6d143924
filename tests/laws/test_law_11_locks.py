"""We take locks in one order and never wait for a host's lock while holding one.

Runs by id, then steps by run and name; no deadlock among ourselves under forced contention.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from squid_mesh import InvalidTransition, RunStatus, StepStatus
from squid_mesh.runtime.cancelling import cancel
from squid_mesh.runtime.facts import NO_FACTS
from squid_mesh.runtime.ledger import Ledger
from squid_mesh.store.records import Advanced, Claim, Claimed, Ended, Interrupted, Progress
from tests.clock import every, one
from tests.conformance import conforms
from tests.laws import journal
from tests.laws.processes import Process, workers
from tests.laws.worker import HEARTBEAT, LEASE
from tests.laws.workflows import WORKFLOWS, Branching, Doomed, Fan, Joining
from tests.laws.worlds import (
    FAN,
    STATEMENTS,
    Hand,
    all_ended,
    dies,
    hand_of,
    hands,
    ledger_of,
    new_boot,
    started,
    tally,
    unsound,
)
from tests.meshes import eventually, on_host

RUNS = 20
CANCELLED = 5
SIBLINGS = [f"x{n}" for n in range(50)]
ROUNDS_OF_THE_HOST = 40
SWEEPS = 40


@dataclass
class Boot:
    """A living boot: a connection of its own and two committers."""

    hand: Hand
    ledgers: list[Ledger]
    joined: list[UUID] = field(default_factory=list)
    """The runs whose join it took."""

    async def completes(self, claimed: Claimed) -> None:
        """Hand a result to one of the committers."""
        outcome = await random.choice(self.ledgers).advance(FAN.completed(claimed))  # noqa: S311
        if outcome == Advanced("end"):
            self.joined.append(claimed.run_id)

    async def recovers(self, died: list[Interrupted]) -> None:
        """Sweep, and complete what was interrupted; what the other boot took is the other's."""
        writer, connection = self.hand.writer, self.hand.connection
        for _ in range(SWEEPS):
            found = random.sample(died, len(died))
            ready = await writer.retry_interrupted(connection, found)
            await writer.requeue_overdue(connection, overdue=-1.0, silence=0.0)
            again = await self.hand.claim(*(Claim(r.run_id, r.step) for r in ready))
            made = [claimed for claimed in again if isinstance(claimed, Claimed)]
            await asyncio.gather(*map(self.completes, made))


@asynccontextmanager
async def boot(dsn: str) -> AsyncGenerator[Boot]:
    writer = await new_boot(dsn)
    async with (
        hand_of(dsn, writer) as hand,
        ledger_of(dsn, writer) as one_ledger,
        ledger_of(dsn, writer) as other_ledger,
    ):
        yield Boot(hand, [one_ledger, other_ledger])


@conforms("S175")
async def test_a_thousand_siblings_over_four_committers_among_hosts_and_sweeps(dsn: str) -> None:
    """Two boots, cancels, a host that locks runs the other way round, all at once.

    And both boots sweep for a third one, which died with ten bodies of each run.
    """
    before = await deadlocks(dsn)
    async with boot(dsn) as one_boot, boot(dsn) as other_boot, hands(dsn, 1) as (dead,):
        runs = await started(dsn, dead, FAN, RUNS + CANCELLED)
        doomed = runs[RUNS:]
        died = await dead.claimed(*(Claim(run, step) for run in runs for step in SIBLINGS[:10]))
        interrupted = [_interrupted(claimed, dead.writer.boot) for claimed in died]
        await dies(dsn, dead.writer.boot)
        results: list[Coroutine[Any, Any, None]] = []
        for taker, steps in ((one_boot, SIBLINGS[10:30]), (other_boot, SIBLINGS[30:])):
            claims = (Claim(run, step) for run in runs for step in steps)
            results += map(taker.completes, await taker.hand.claimed(*claims))
        random.shuffle(results)
        await asyncio.gather(
            *results,
            one_boot.recovers(interrupted),
            other_boot.recovers(interrupted),
            locks_backwards(dsn, runs),
            cancels(dsn, doomed),
        )
        joined = one_boot.joined + other_boot.joined
        await end(dsn, [run for run in joined if run in doomed])
    assert len(joined) == len(set(joined))
    assert {run for run in joined if run not in doomed} == set(runs[:RUNS])
    assert await unsound(dsn) == []
    assert await tally(dsn) == {"running": RUNS, "cancelled": CANCELLED}
    running = "select step, attempt from squid_mesh.steps where status = 'running'"
    assert await every(dsn, running) == [("end", 1)] * RUNS
    assert await deadlocks(dsn) == before


def _interrupted(claimed: Claimed, boot: int) -> Interrupted:
    return Interrupted(claimed.run_id, claimed.step, claimed.attempt, boot, "fan", 0)


async def locks_backwards(dsn: str, runs: list[UUID]) -> None:
    """A host's transactions, one after the other, each with locks on several runs."""
    async with await AsyncConnection.connect(dsn) as host:
        for _ in range(ROUNDS_OF_THE_HOST):
            for run in sorted(random.sample(runs, 6), reverse=True):
                await host.execute("select 1 from squid_mesh.runs where id = %s for update", (run,))
            await host.commit()


async def end(dsn: str, runs: list[UUID]) -> None:
    """Complete the joins of runs that were cancelled after they had begun."""
    claims = "select run_id, claim from squid_mesh.steps where step = 'end' and run_id = any(%s)"
    for run, boot in await every(dsn, claims, runs):
        async with hand_of(dsn, replace(await new_boot(dsn), boot=boot)) as hand:
            join = Progress(
                run_id=run, step="end", attempt=1, status=StepStatus.COMPLETED, ends=True
            )
            assert await hand.advance(join) == [Ended(RunStatus.CANCELLED)]


async def cancels(dsn: str, runs: list[UUID]) -> None:
    """Each in a transaction of its own."""
    async with await AsyncConnection.connect(dsn) as host:
        for run in runs:
            await cancel(host, STATEMENTS, run, NO_FACTS)
            await host.commit()


async def test_a_host_that_cancels_several_runs_in_its_own_order(dsn: str) -> None:
    """While their flushes end them: whoever comes second finds them ended, or ends them."""
    before = await deadlocks(dsn)
    writer = await new_boot(dsn)
    async with hand_of(dsn, writer) as hand, ledger_of(dsn, writer) as ledger:
        runs = await started(dsn, hand, FAN, RUNS)
        held = await hand.claimed(*(Claim(run, step) for run in runs for step in SIBLINGS))

        async def cancel_all() -> None:
            async with await AsyncConnection.connect(dsn) as host:
                for run in sorted(runs, reverse=True):
                    await cancel(host, STATEMENTS, run, NO_FACTS)
                await host.commit()

        results = (ledger.advance(FAN.completed(claimed)) for claimed in held)
        _, *outcomes = await asyncio.gather(cancel_all(), *results)
        joins = zip(held, outcomes, strict=True)
        await end(dsn, [claimed.run_id for claimed, o in joins if o == Advanced("end")])
    assert await tally(dsn) == {"cancelled": RUNS}
    assert await unsound(dsn) == []
    assert await deadlocks(dsn) == before


async def test_real_processes_among_hosts_cancels_and_kills(dsn: str) -> None:
    """Four processes with one queue, one of which dies, while hosts lock the other way round."""
    await journal.install(dsn)
    async with (
        journal.Journal(dsn) as bodies,
        workers(dsn, 3) as (doomed, *_),
        on_host(dsn, WORKFLOWS, resources=[bodies], heartbeat=HEARTBEAT, lease=LEASE) as mesh,
    ):
        runs = [
            run.id
            for workflow in (Fan, Joining, Doomed, Branching)
            for run in await mesh.start_runs(workflow, [{}] * 25)
        ]
        await asyncio.gather(
            locks_backwards(dsn, runs),
            cancels_backwards(dsn, runs[::7]),
            dies_among(doomed, bodies),
        )
        await eventually(lambda: all_ended(dsn))
        assert await bodies.unclaimed() == []
    assert await unsound(dsn) == []
    assert set(await tally(dsn)) <= {"completed", "failed", "cancelled"}
    assert await deadlocks(dsn) == 0


async def cancels_backwards(dsn: str, runs: list[UUID]) -> None:
    """In one transaction, which has all of them locked at its end."""
    async with await AsyncConnection.connect(dsn) as host:
        for run in sorted(runs, reverse=True):
            try:
                await cancel(host, STATEMENTS, run, NO_FACTS)
            except InvalidTransition:
                continue
        await host.commit()


async def dies_among(process: Process, bodies: journal.Journal) -> None:
    """A process dies in the thick of it."""
    await bodies.has(100)
    await process.dies()


async def deadlocks(dsn: str) -> int:
    """How many there were: read once everybody has left, as a backend tells it when it ends."""
    others = (
        "select 1 from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid() and backend_type = 'client backend'"
    )

    async def have_left() -> bool:
        return not await every(dsn, others)

    await eventually(have_left)
    query = "select deadlocks from pg_stat_database where datname = current_database()"
    return int((await one(dsn, query))[0])
