"""The bare group-commit floor: the engine's statements by themselves, on ready-made groups.

No queue, no drivers, no bodies, no JSON: one process writes the same rows in groups of 100, one
after the other: the starts of a group, its claims, and five times its completions. What the engine
doesn't reach of it is what the rest of the engine costs. Alone, a run is those seven commits.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection

from bench.load import STEPS, Load, Measured
from bench.meter import Meter
from bench.systems.squid import Chain
from squid_mesh import Mesh
from squid_mesh.engine.graph import Graph
from squid_mesh.engine.states import StepStatus
from squid_mesh.runtime.starting import first_steps, uuid7
from squid_mesh.store.connections import connect, connect_committer
from squid_mesh.store.records import Claim, Progress, Start
from squid_mesh.store.statements import Statements
from squid_mesh.store.writes import Queueing, Writer

GROUP = 100
NAMES = ("one", "two", "three", "four", "five")


async def measure(dsn: str, load: Load) -> Measured:
    """Write whole runs, a group at a time."""
    async with writing(dsn) as (starts, flushes, writer):
        with Meter(dsn) as meter:
            for _ in range(load.runs // GROUP):
                await complete(flushes, writer, await claimed(starts, flushes, writer, GROUP))
        idle = [await _alone(starts, flushes, writer) for _ in range(load.idle_runs)]
        return meter.measured(load.runs // GROUP * GROUP * STEPS, idle=idle)


@asynccontextmanager
async def writing(
    dsn: str,
) -> AsyncGenerator[tuple[AsyncConnection[Any], AsyncConnection[Any], Writer]]:
    """Connections as the engine makes them, for starts and for the rest, and a boot's writer."""
    async with Mesh.connect(dsn, workflows=[Chain], queues={}, install=True):
        pass  # tables and the definition are there now
    async with await connect(dsn) as starts, await connect_committer(dsn) as flushes:
        boot = await _boot(starts)
        yield starts, flushes, Writer(Statements(), Queueing("nowhere", "squid_mesh.floor"), boot)


async def complete(flushes: AsyncConnection[Any], writer: Writer, runs: list[Any]) -> None:
    """Write the five completions of a group."""
    for place in range(STEPS):
        await writer.advance(flushes, [_progress(run, place) for run in runs])


async def _alone(
    starts: AsyncConnection[Any], flushes: AsyncConnection[Any], writer: Writer
) -> float:
    began = time.perf_counter()
    await complete(flushes, writer, await claimed(starts, flushes, writer, 1))
    return time.perf_counter() - began


async def _boot(connection: AsyncConnection[Any]) -> int:
    cursor = await connection.execute(
        "insert into squid_mesh.workers (mesh, node, pid) values ('floor', '-', 0) returning boot"
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def claimed(
    starts: AsyncConnection[Any], flushes: AsyncConnection[Any], writer: Writer, count: int
) -> list[Any]:
    """So many runs whose first step is claimed."""
    definition = Chain.__definition__
    first = first_steps(Graph(definition.spec))
    ids = [uuid7() for _ in range(count)]
    await writer.start(
        starts,
        [
            Start(
                run_id=run_id,
                workflow=definition.spec.name,
                definition=definition.version,
                trigger="manual",
                payload=b'{"number": 1}',
                first=first,
                open_ends=1,
            )
            for run_id in ids
        ],
    )
    await writer.claim(flushes, [Claim(run_id, "one") for run_id in ids])
    return ids


def _progress(run_id: Any, place: int) -> Progress:
    last = place == STEPS - 1
    return Progress(
        run_id=run_id,
        step=NAMES[place],
        attempt=1,
        status=StepStatus.COMPLETED,
        output=b'{"number":1,"text":""}',
        next=None if last else NAMES[place + 1],
        inline=not last,
        ends=last,
    )
