"""Absurd: one async worker; `absurdctl` brings its schema."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from absurd_sdk import AsyncAbsurd

from bench.load import STEPS, Load, Measured
from bench.meter import Meter
from bench.pace import pace

QUEUE = "default"
POLL_SECONDS = 0.02


async def measure(dsn: str, load: Load) -> Measured:
    """Spawn tasks one by one while a worker runs them, then some alone."""
    absurdctl = Path(sys.executable).parent / "absurdctl"
    subprocess.run([absurdctl, "init", "-d", dsn], check=True, capture_output=True)
    app = AsyncAbsurd(dsn)
    await app.create_queue(QUEUE)
    text = load.output()
    done: dict[int, asyncio.Event] = {}

    @app.register_task(name="chain")
    async def chain(params: Any, ctx: Any) -> int:
        number: int = params["number"]
        for place in range(STEPS):

            async def one_step(place: int = place) -> dict[str, Any]:
                pace.begin(number, first=place == 0)
                if load.io_ms:
                    await asyncio.sleep(load.io_ms / 1000)
                return {"number": number, "text": text}

            await ctx.step(f"step {place}", one_step)
        done[number].set()
        return number

    numbers = itertools.count()
    spawner = AsyncAbsurd(dsn)

    async def spawn() -> asyncio.Event:
        number = next(numbers)
        done[number] = asyncio.Event()
        await spawner.spawn("chain", {"number": number}, queue=QUEUE)
        return done[number]

    async def alone() -> float:
        began = time.perf_counter()
        await (await spawn()).wait()
        return time.perf_counter() - began

    worker = asyncio.create_task(
        app.start_worker(concurrency=load.at_a_time, poll_interval=POLL_SECONDS)
    )
    for _ in range(20):
        await alone()
    pace.gaps.clear()
    with Meter(dsn) as meter:
        for event in [await spawn() for _ in range(load.runs)]:
            await event.wait()
    gaps = list(pace.gaps)
    idle = [await alone() for _ in range(load.idle_runs)]
    measured = meter.measured(load.runs * STEPS, gaps, idle)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    return measured
