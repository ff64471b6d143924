"""What law tests stand on: boots at the writers' level, shapes of runs, and what is always true."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from squid_mesh.engine.states import StepStatus
from squid_mesh.runtime.ledger import Ledger, SideConnection
from squid_mesh.runtime.starting import uuid7
from squid_mesh.store.committer import Busy
from squid_mesh.store.connections import connect, connect_committer, connect_starter
from squid_mesh.store.records import (
    Advanced,
    Claim,
    Claimed,
    Claiming,
    FirstStep,
    Outcome,
    Progress,
    Start,
    Take,
    Taken,
)
from squid_mesh.store.statements import Statements
from squid_mesh.store.writes import Queueing, Writer
from squid_mesh.telemetry import Telemetry
from tests.clock import every
from tests.meshes import BOUND, QUEUE

STATEMENTS = Statements()
LEASE = 10.0
"""Seconds of silence after which boots of this level are dead: no test waits for it."""

_BOOT: dict[str, Any] = {
    "mesh": "squid_mesh",
    "node": "here",
    "pid": 1,
    "queues": [QUEUE],
    "definitions": [],
    "actions": [],
}


# boots


@dataclass(frozen=True)
class Hand:
    """A boot's writer on one connection: what one committer of a process holds."""

    writer: Writer
    connection: AsyncConnection[Any]

    async def start(self, *starts: Start) -> None:
        """Start runs."""
        for first in range(0, len(starts), 100):
            await self.writer.start(self.connection, starts[first : first + 100])

    async def claim(self, *claims: Claim) -> list[Claiming]:
        """Claim steps, again while somebody holds their runs."""
        return await _until_free(self.writer.claim, self.connection, list(claims))

    async def take(self, *takes: Take) -> list[Taken | None]:
        """Claim the steps that are next in queues."""
        return await _until_free(self.writer.take, self.connection, list(takes))

    async def claimed(self, *claims: Claim) -> list[Claimed]:
        """Claim steps that surely can be."""
        outcomes = await self.claim(*claims)
        made = [outcome for outcome in outcomes if isinstance(outcome, Claimed)]
        assert len(made) == len(claims), outcomes
        return made

    async def advance(self, *records: Progress) -> list[Outcome]:
        """Write progress in one flush; what met a held run comes in the next."""
        return await _until_free(self.writer.advance, self.connection, list(records))


async def _until_free[Record, Outcome](
    write: Callable[[AsyncConnection[Any], list[Record]], Awaitable[list[Outcome | Busy]]],
    connection: AsyncConnection[Any],
    records: list[Record],
) -> list[Outcome]:
    settled: dict[int, Outcome] = {}
    async with asyncio.timeout(BOUND.total_seconds()):
        while left := [number for number in range(len(records)) if number not in settled]:
            outcomes = await write(connection, [records[number] for number in left])
            pairs = zip(left, outcomes, strict=True)
            settled |= {number: o for number, o in pairs if not isinstance(o, Busy)}
    return [settled[number] for number in range(len(records))]


async def new_boot(dsn: str) -> Writer:
    """Register a boot, as a process does when it begins."""
    async with await connect(dsn) as connection:
        cursor = await connection.execute(STATEMENTS["begin_boot"], _BOOT)
        row = await cursor.fetchone()
    assert row is not None
    return Writer(STATEMENTS, Queueing(QUEUE, "squid_mesh.squid_mesh"), int(row[0]))


@asynccontextmanager
async def hand_of(dsn: str, writer: Writer) -> AsyncGenerator[Hand]:
    """One more connection of a boot."""
    async with await connect_committer(dsn) as connection:
        yield Hand(writer, connection)


@asynccontextmanager
async def hands(dsn: str, boots: int) -> AsyncGenerator[list[Hand]]:
    """So many boots, each with a connection."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(hand_of(dsn, await new_boot(dsn))) for _ in range(boots)
        ]


@asynccontextmanager
async def ledger_of(dsn: str, writer: Writer) -> AsyncGenerator[Ledger]:
    """A boot's committers, as in a process."""
    side = SideConnection(lambda: connect(dsn))
    ledger = Ledger(
        writer,
        telemetry=Telemetry(),
        starter=lambda: connect_starter(dsn),
        committer=lambda: connect_committer(dsn),
        slow=lambda: connect(dsn),
        side=side,
        silence=LEASE,
    )
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.stop()
        await side.close()


async def dies(dsn: str, boot: int) -> None:
    """A boot ends in silence: its lease is over."""
    await every(
        dsn,
        "update squid_mesh.workers set alive_at = now() - interval '1 hour' where boot = %s",
        boot,
    )


# shapes


@dataclass(frozen=True)
class Shape:
    """A dependency workflow, at the level of records: which steps each step waits for."""

    name: str
    needs: Mapping[str, tuple[str, ...]]
    dependents: Mapping[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        dependents = {
            step: tuple(other for other, needs in self.needs.items() if step in needs)
            for step in self.needs
        }
        object.__setattr__(self, "dependents", dependents)

    async def install(self, dsn: str) -> None:
        """Register it as a definition. No process here reads its document."""
        await every(
            dsn,
            "insert into squid_mesh.definitions (version, workflow, spec) values (%s, %s, '{}')",
            self.name,
            self.name,
        )

    def start(self) -> Start:
        """A new run."""
        return Start(
            run_id=uuid7(),
            workflow=self.name,
            definition=self.name,
            trigger="manual",
            payload=b"{}",
            first=tuple(FirstStep(step, len(needs), None) for step, needs in self.needs.items()),
            open_ends=sum(not dependents for dependents in self.dependents.values()),
        )

    def completed(self, claimed: Claimed, *, output: bytes = b"1") -> Progress:
        """The record of a completed step. Whoever completes it takes a lone join along."""
        joins = self.dependents[claimed.step]
        return Progress(
            run_id=claimed.run_id,
            step=claimed.step,
            attempt=claimed.attempt,
            status=StepStatus.COMPLETED,
            output=output,
            joins=joins,
            inline=len(joins) == 1,
            ends=not joins,
        )


LONE = Shape("lone", {"only": ()})
PAIR = Shape("pair", {"left": (), "right": (), "join": ("left", "right")})
FAN = Shape(
    "fan",
    {f"x{n}": () for n in range(50)} | {"end": tuple(f"x{n}" for n in range(50))},
)


async def started(dsn: str, hand: Hand, shape: Shape, count: int) -> list[UUID]:
    """So many new runs of a shape that wasn't known yet."""
    await shape.install(dsn)
    starts = [shape.start() for _ in range(count)]
    await hand.start(*starts)
    return [start.run_id for start in starts]


def taking(claimed: Claimed, step: str) -> Claimed:
    """The claim on a join that came with a completion."""
    return Claimed(
        run_id=claimed.run_id,
        step=step,
        attempt=1,
        definition=claimed.definition,
        workflow=claimed.workflow,
        trigger=claimed.trigger,
        window_at=None,
        queue=None,
        payload=None,
        outputs={},
        errors={},
        slept=False,
    )


def joins_in(outcomes: Sequence[object]) -> list[str]:
    """The joins that outcomes claimed."""
    steps = [outcome.step for outcome in outcomes if isinstance(outcome, Advanced)]
    return [step for step in steps if step is not None]


# what is always true

_UNSOUND = """
select r.id::text as run, problem.name
from squid_mesh.runs r,
  lateral (
    select count(*) filter (where status = 'running') as running,
           count(*) filter (where status = 'pending' or status = 'scheduled' and error is null)
             as queued,
           count(*) filter (where status = 'scheduled' and error is not null) as retrying,
           count(*) filter (where status = 'paused') as paused,
           count(*) filter (where status = 'waiting') as waiting
    from squid_mesh.steps where run_id = r.id
  ) s,
  lateral (values
    ('counts running steps wrongly', r.running <> s.running),
    ('counts queued steps wrongly', r.queued <> s.queued),
    ('counts retrying steps wrongly', r.retrying <> s.retrying),
    ('counts paused steps wrongly', r.paused <> s.paused),
    ('lives without a live step',
     r.outcome is null and s.running + s.queued + s.retrying + s.paused = 0),
    ('has ended with open ends', r.outcome is not null and r.open_ends <> 0),
    ('has ended while a step waits', r.outcome is not null and s.waiting > 0)
  ) as problem(name, is_so)
where problem.is_so
union all
select run_id::text, step || ' has attempts ' || array_agg(number order by number)::text
from squid_mesh.step_attempts
group by run_id, step
having array_agg(number order by number) <> array(select generate_series(1, max(number)))
"""

_HISTORY = "runs", "steps", "attempts", "audit_events"


async def unsound(dsn: str) -> list[tuple[Any, ...]]:
    """What is wrong with the tables: counters, live steps, ends, the numbering of attempts."""
    return await every(dsn, _UNSOUND)


async def tables(dsn: str, run_id: UUID | None = None) -> dict[str, list[str]]:
    """Every byte of the history, of one run or of all."""
    found: dict[str, list[str]] = {}
    for table in _HISTORY:
        key = "id" if table == "runs" else "run_id"
        rows = await every(
            dsn,
            f"select t::text from squid_mesh.{table} t where %s::uuid is null or {key} = %s"  # noqa: S608
            " order by 1",
            run_id,
            run_id,
        )
        found[table] = [row for (row,) in rows]
    return found


async def tally(dsn: str) -> dict[str, int]:
    """How many runs there are of each status."""
    rows = await every(dsn, "select status, count(*) from squid_mesh.runs group by status")
    return dict(rows)


async def all_ended(dsn: str) -> bool:
    """Whether no run lives."""
    return not await every(dsn, "select 1 from squid_mesh.runs where outcome is null limit 1")
