"""Runs that sleep or are paused: what they cost while they rest, and how late they wake up."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg

from bench.endings import Endings
from bench.meter import Meter
from bench.studies import Case, Row
from bench.studies.rows import spread
from squid_mesh import Mesh, Payload, Workflow, complete, step, wait

SETTINGS = {"shared_preload_libraries": "pg_stat_statements", "track_io_timing": "on"}

SECONDS = 60
"""For how long an idle mesh is watched."""
WAITS = 10_000
SLEEP = 40
"""Seconds that they sleep: longer than it takes to start them all."""

RESTING = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
READ = """
select (select sum(calls) from pg_stat_statements where query not ilike '%pg_stat%')::float8,
       (select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_user_tables)::float8,
       (select sum(shared_blks_hit + shared_blks_read) from pg_stat_statements
        where query not ilike '%pg_stat%')::float8
"""

LATE = """
select extract(epoch from after.started_at - (nap.resume ->> 'until')::timestamptz)::float8
from squid_mesh.steps nap join squid_mesh.steps after using (run_id)
where nap.step = 'nap' and after.step = 'after'
"""


class NapPayload(Payload):
    """For how long."""

    seconds: int


async def wake(seconds: int) -> int:
    """What comes after."""
    return seconds


class Nap(Workflow[NapPayload]):
    """A wait, and a step after it."""

    nap = wait(timedelta(seconds=SLEEP))
    after = step(wake).takes(NapPayload.seconds)
    flow = nap >> after >> complete


async def rest(count: int, dsn: str, scale: float, *, paused: bool = False) -> list[Row]:
    """An idle mesh over so many runs that rest."""
    count = int(count * scale)
    mesh = Mesh.connect(dsn, workflows=[Nap], queues={"squid_mesh": 20}, install=True)
    async with mesh:
        pass
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create extension if not exists pg_stat_statements")
        parameters = {
            "count": count,
            "paused": int(paused),
            "version": Nap.__definition__.version,
        }
        connection.execute(RESTING, parameters)
        connection.execute("vacuum analyze")
        async with Mesh.connect(dsn, workflows=[Nap], queues={"squid_mesh": 20}):
            await asyncio.sleep(5)
            before: Any = connection.execute(READ).fetchone()
            began = perf_counter()
            await asyncio.sleep(SECONDS * max(scale, 0.2))
            seconds = perf_counter() - began
            await asyncio.sleep(1.5)  # the server's counters lag behind by a second
            after: Any = connection.execute(READ).fetchone()
    statements, tuples, blocks = (
        (late - early) / (seconds + 1.5) for late, early in zip(after, before, strict=True)
    )
    return [
        {
            "resting": f"{count:,} {'paused' if paused else 'asleep'}",
            "statements/s": statements,
            "tuples read/s": tuples,
            "blocks read/s": blocks,
        }
    ]


async def wakes(dsn: str, scale: float) -> list[Row]:
    """Ten thousand waits that are due within seconds of each other."""
    ended = Endings()
    count = int(WAITS * scale)
    mesh = Mesh.connect(
        dsn, workflows=[Nap], queues={"squid_mesh": 200}, install=True, observers=[ended]
    )
    async with mesh:
        ended.expect(count)
        began = perf_counter()
        for start in range(0, count, 1000):
            payloads = [NapPayload(seconds=SLEEP)] * min(1000, count - start)
            await mesh.start_runs(Nap, payloads)
        with Meter(dsn) as meter:
            await ended.all.wait()
        took = perf_counter() - began
        with psycopg.connect(dsn) as connection:
            late = [seconds for (seconds,) in connection.execute(LATE)]
    assert len(late) == count
    row: Row = {"waits": count, "seconds in all": took, "due at once/s": count / (took - SLEEP)}
    measured = meter.measured(count)
    return [row | spread("late", late) | {"commits a wait": measured.commits / count}]


CASES: dict[str, Case] = {
    "nothing": partial(rest, 0),
    "10,000 asleep": partial(rest, 10_000),
    "1,000,000 asleep": partial(rest, 1_000_000),
    "1,000,000 paused": partial(rest, 1_000_000, paused=True),
    "wake-up": wakes,
}
