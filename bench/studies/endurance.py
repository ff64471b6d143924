"""Ten minutes of chains without a pause, pruned behind: tables, vacuum, memory as time goes by."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg

from bench.pace import pace
from bench.studies import Case, Row
from bench.systems.squid import Chain, ChainPayload
from squid_mesh import Mesh
from squid_mesh.telemetry import Event, RunEnded

SECONDS = 600
SAMPLE = 15
LIVE = 400
"""Runs that live at a time."""
KEPT = timedelta(minutes=2)

TABLES = """
select sum(pg_total_relation_size(relid))::float8, sum(n_dead_tup)::float8,
       sum(autovacuum_count)::float8, (select count(*) from squid_mesh.runs)::float8
from pg_stat_user_tables where schemaname = 'squid_mesh' or relname = 'oban_jobs'
"""


class Places:
    """Observes ends: whoever starts a run takes a place, and has it until the run has ended."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(LIVE)
        self.ended = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunEnded):
            self.ended += 1
            self.free.release()


async def endure(dsn: str, scale: float) -> list[Row]:
    """Start as many as end, and take a sample now and then."""
    places = Places()
    pace.is_on = False
    mesh = Mesh.connect(
        dsn,
        workflows=[Chain],
        queues={"squid_mesh": 200},
        install=True,
        observers=[places],
        retention=KEPT * min(scale, 1),
    )
    numbers = itertools.count()

    async def start() -> None:
        while True:
            await places.free.acquire()
            await mesh.start_run(Chain, ChainPayload(number=next(numbers)))

    async with mesh:
        starters = [asyncio.create_task(start()) for _ in range(8)]
        began = perf_counter()
        rows: list[Row] = []
        while perf_counter() - began < SECONDS * scale:
            rows.append(await _sample(dsn, places, began))
        for starter in starters:
            starter.cancel()
        await asyncio.gather(*starters, return_exceptions=True)
    return rows


async def _sample(dsn: str, places: Places, began: float) -> Row:
    before, at = places.ended, perf_counter()
    await asyncio.sleep(SAMPLE)
    rate = (places.ended - before) * 5 / (perf_counter() - at)
    with psycopg.connect(dsn) as connection:
        found: Any = connection.execute(TABLES).fetchone()
    size, dead, vacuums, runs = found
    return {
        "minute": (perf_counter() - began) / 60,
        "steps/s": rate,
        "tables MiB": size / 2**20,
        "dead tuples": dead,
        "autovacuums": vacuums,
        "runs kept": runs,
        "process MiB": _resident() / 2**20,
    }


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


CASES: dict[str, Case] = {"endurance": endure}
