"""DBOS: async workflows and steps in one process, started directly; no admin server, few logs."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

from dbos import DBOS

from bench.load import STEPS, Load, Measured
from bench.meter import Meter
from bench.outputs import outputs
from bench.pace import pace


@DBOS.step()
async def one_step(number: int, place: int, io_ms: float) -> dict[str, Any]:
    """Pass it on."""
    pace.begin(number, first=place == 0)
    if io_ms:
        await asyncio.sleep(io_ms / 1000)
    return outputs.of(number)


@DBOS.workflow()
async def chain(number: int, io_ms: float) -> dict[str, Any]:
    """Five async steps, one after the other."""
    result: dict[str, Any] = {}
    for place in range(STEPS):
        result = await one_step(number, place, io_ms)
    return result


@DBOS.step()
def one_sync_step(number: int, place: int, io_ms: float) -> dict[str, Any]:
    """Pass it on, in a thread."""
    pace.begin(number, first=place == 0)
    if io_ms:
        time.sleep(io_ms / 1000)
    return outputs.of(number)


@DBOS.workflow()
def sync_chain(number: int, io_ms: float) -> dict[str, Any]:
    """Five plain functions, one after the other."""
    result: dict[str, Any] = {}
    for place in range(STEPS):
        result = one_sync_step(number, place, io_ms)
    return result


def launch(dsn: str, *, threads: int = 64) -> None:
    """Begin: no admin server, few logs, connections enough."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": dsn,
            "log_level": "WARNING",
            "sys_db_pool_size": 20,
            "max_executor_threads": threads,
        }
    )
    DBOS.launch()


async def measure(dsn: str, load: Load) -> Measured:
    """As many workflows as asked for at a time, then some alone."""
    launch(dsn, threads=max(64, load.at_a_time))
    numbers = itertools.count()
    outputs.text = load.output()
    places = asyncio.Semaphore(load.at_a_time)

    async def alone() -> float:
        began = time.perf_counter()
        number = next(numbers)
        if load.sync:
            handle: Any = await asyncio.to_thread(
                DBOS.start_workflow, sync_chain, number, load.io_ms
            )
            await asyncio.to_thread(handle.get_result)
        else:
            handle = await DBOS.start_workflow_async(chain, number, load.io_ms)
            await handle.get_result()
        return time.perf_counter() - began

    async def one() -> None:
        async with places:
            await alone()

    for _ in range(20):
        await alone()
    pace.gaps.clear()
    with Meter(dsn) as meter:
        await asyncio.gather(*(one() for _ in range(load.runs)))
    gaps = list(pace.gaps)
    idle = [await alone() for _ in range(load.idle_runs)]
    measured = meter.measured(load.runs * STEPS, gaps, idle)
    DBOS.destroy()
    return measured
