"""What is read for a record, or by a sweep, doesn't depend on how much there is.

Plans are made once for a connection, maybe when the tables hold a row each, and kept. So what they
read is counted on the very connections that made them, before and after ten thousand runs came.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from psycopg import AsyncConnection

from squid_mesh.store.columns import Texts, Uuids
from squid_mesh.store.connections import connect
from squid_mesh.store.records import Claim, Take
from squid_mesh.store.writes import Writer
from tests.clock import every
from tests.laws.records import record
from tests.laws.worlds import LONE, PAIR, STATEMENTS, Hand, Shape, hand_of, new_boot

GROUP = 50
CROWD = 10_000
A_FEW = 6
"""Rows of a table that are read for one record, at most."""

_READ = """
select relname, seq_scan, seq_tup_read + coalesce(idx_tup_fetch, 0)
from pg_stat_xact_user_tables where relname in ('runs', 'steps', 'oban_jobs')
order by relname
"""

# Runs that sleep for a month, each with its job, and as many that have ended.
_CROWD = """
with ids as (select gen_random_uuid() as id, n from generate_series(1, %s) as n),
runs as (
  insert into squid_mesh.runs (id, workflow, definition, trigger, payload, open_ends, queued,
                               begun_at, outcome, ended_at)
  select id, 'lone', 'lone', 'manual', '{}', n %% 2, n %% 2, now(),
         case n %% 2 when 0 then 'completed' end, case n %% 2 when 0 then now() end
  from ids
),
jobs as (
  insert into oban_jobs (state, queue, worker, args, max_attempts, scheduled_at)
  select 'scheduled', 'squid_mesh', 'squid_mesh.squid_mesh', '{}', 32767,
         timezone('UTC', now()) + interval '30 days'
  from ids where n %% 2 = 1
)
insert into squid_mesh.steps (run_id, step, status, attempt, started_at, finished_at, due_at)
select id, 'only', case n %% 2 when 0 then 'completed' else 'scheduled' end, n %% 2, now(),
       case n %% 2 when 0 then now() end, case n %% 2 when 1 then now() + interval '30 days' end
from ids
"""

type Reads = dict[str, tuple[int, int]]
"""For each table, how often all of it was read, and how many rows were."""


async def crowd(dsn: str, count: int) -> None:
    """So many more runs, which no statistics know of yet."""
    await every(dsn, _CROWD, count)


async def reads(connection: AsyncConnection[Any], work: Callable[[], Awaitable[object]]) -> Reads:
    """What some work reads. It is committed: after a rollback psycopg forgets its plans."""
    async with connection.transaction():
        before = await (await connection.execute(_READ)).fetchall()
        await work()
        after = await (await connection.execute(_READ)).fetchall()
    return {
        table: (scans - scans_before, rows - rows_before)
        for (table, scans, rows), (_, scans_before, rows_before) in zip(after, before, strict=True)
    }


@pytest.fixture
async def writer(dsn: str) -> Writer:
    """A boot, in a schema that was analysed when each of its tables held a row or two."""
    writer = await new_boot(dsn)
    for shape in (LONE, PAIR):
        await shape.install(dsn)
    await crowd(dsn, 2)
    await every(dsn, "analyze")
    return writer


async def begun(hand: Hand) -> dict[str, Callable[[], Awaitable[object]]]:
    """A group of each kind of write, ready to be done."""
    connection, writer = hand.connection, hand.writer

    async def claims(shape: Shape, *steps: str) -> list[Claim]:
        starts = [shape.start() for _ in range(GROUP)]
        await hand.start(*starts)
        return [Claim(start.run_id, step) for start in starts for step in steps]

    async def held(kind: str, **changes: Any) -> Callable[[], Awaitable[object]]:
        claimed = await hand.claimed(*await claims(LONE, "only"))
        records = [record(kind, one, **changes) for one in claimed]
        return lambda: writer.advance(connection, records)

    to_claim = await claims(LONE, "only")
    siblings = await hand.claimed(*await claims(PAIR, "left", "right"))
    await hand.start(*(LONE.start() for _ in range(GROUP)))
    to_take = [Take(writer.queueing.queue) for _ in range(GROUP)]
    joins = list(map(PAIR.completed, siblings))
    return {
        "claim_steps": lambda: writer.claim(connection, to_claim),
        "take_steps": lambda: writer.take(connection, to_take),
        "advance_chain, going on": await held("completes and goes on"),
        "advance_chain, at the end": await held("completes and ends", job=1),
        "advance_steps, retries": await held("is tried again"),
        "advance_steps, hand-overs": await held("completes and hands over"),
        "advance_steps, joins": lambda: writer.advance(connection, joins),
        "load_outputs": lambda: writer.load(connection, [c.run_id for c in siblings[:GROUP]]),
    }


async def measured(hand: Hand) -> dict[str, Reads]:
    works = await begun(hand)
    return {name: await reads(hand.connection, work) for name, work in works.items()}


async def test_a_flush_reads_a_few_rows_a_record(dsn: str, writer: Writer) -> None:
    async with hand_of(dsn, writer) as early:
        await measured(early)  # the plans are made
        await crowd(dsn, CROWD)
        kept = await measured(early)
        await every(dsn, "analyze")
        async with hand_of(dsn, writer) as late:
            new = await measured(late)
    for found in (kept, new):
        for name, tables in found.items():
            for table, (scans, rows) in tables.items():
                assert scans == 0, (name, table)
                assert rows <= A_FEW * GROUP * (2 if "joins" in name else 1), (name, table, rows)


_JOBS = {"default_queue": "q", "worker": "w", "channel": STATEMENTS.channel, "recovery": 0}
ASKED: dict[str, dict[str, Any]] = {
    "find_interrupted": {
        "silence": 10.0,
        "blocked": 60.0,
        "boot": 1,
        "run": Uuids([]),
        "step": Texts([]),
    },
    "requeue_overdue": {"overdue": 5.0, "silence": 10.0, "boot": 1, **_JOBS},
    "find_parked": {},
}
INDEX = {
    "find_interrupted": "runs_busy",
    "requeue_overdue": "steps_due",
    "find_parked": "steps_parked",
}


@pytest.mark.parametrize("sweep", INDEX)
async def test_a_sweep_reads_nothing_of_what_sleeps_or_has_ended(
    dsn: str, sweep: str, writer: Writer
) -> None:
    async with await connect(dsn) as connection:
        asked = ASKED[sweep]

        async def look() -> None:
            await connection.execute(STATEMENTS[sweep], asked)

        await reads(connection, look)  # the plan is made
        await crowd(dsn, CROWD)
        kept = await reads(connection, look)
        await every(dsn, "analyze")
        async with await connect(dsn) as late:
            query = b"explain (format json) " + STATEMENTS[sweep].encode()
            row = await (await late.execute(query, asked)).fetchone()
            assert row is not None
            used = indexes(row[0][0]["Plan"])
            new = await reads(late, lambda: late.execute(STATEMENTS[sweep], asked))
    assert INDEX[sweep] in used, used
    assert {table: rows for table, (_, rows) in new.items() if rows > A_FEW} == {}
    assert {table: rows for table, (_, rows) in kept.items() if rows > A_FEW} == {}


def indexes(plan: dict[str, Any]) -> set[str]:
    """The indexes that a plan uses."""
    own = {plan["Index Name"]} if "Index Name" in plan else set[str]()
    return own.union(*(indexes(part) for part in plan.get("Plans", [])))
