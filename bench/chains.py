"""Five-step chains: how many steps a second, at what price, and how long one run takes."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta

import psycopg

from bench.meter import Cost, Meter
from bench.workflows import STEPS, Chain, ChainPayload
from squid_mesh import Mesh

STARTERS = 8
PATIENCE = timedelta(minutes=5)


async def throughput(dsn: str, *, runs: int, at_a_time: int) -> Cost:
    """Start `runs` runs one by one from a few starters, and drive them `at_a_time`."""
    mesh = Mesh.connect(dsn, workflows=[Chain], queues={"squid_mesh": at_a_time}, install=True)
    async with mesh:
        await asyncio.sleep(0.5)
        with Meter(dsn) as meter:
            ids = await _start(mesh, runs)
            await asyncio.gather(*(mesh.wait_for_run(i, timeout=PATIENCE) for i in ids[-200:]))
            await _all_completed(dsn, runs)
    return meter.cost()


async def _start(mesh: Mesh, runs: int) -> list[str]:
    numbers = itertools.count()
    started: list[str] = []

    async def starter() -> None:
        while (number := next(numbers)) < runs:
            run = await mesh.start_run(Chain, ChainPayload(number=number))
            started.append(str(run.id))

    await asyncio.gather(*(starter() for _ in range(STARTERS)))
    return started


async def _all_completed(dsn: str, runs: int) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        while True:
            cursor = await connection.execute(
                "select count(*) from squid_mesh.runs where status = 'completed'"
            )
            row = await cursor.fetchone()
            assert row is not None
            if row[0] >= runs:
                return
            await asyncio.sleep(0.02)


def show(name: str, cost: Cost, runs: int) -> str:
    """One line of figures a step."""
    steps = runs * STEPS
    return (
        f"{name:32s} {steps / cost.seconds:8,.0f} steps/s   "
        f"{cost.commits / steps:.3f} commits   {cost.wal_bytes / steps:6,.0f} B WAL   "
        f"client {cost.client_seconds / steps * 1e6:4.0f} µs   "
        f"server {cost.server_seconds / steps * 1e6:4.0f} µs"
    )
