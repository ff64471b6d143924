"""Absurd: one async worker; `absurdctl` brings its schema."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from absurd_sdk import AsyncAbsurd

from bench.load import STEPS, Load, Measured
from bench.meter import Meter
from bench.outputs import outputs
from bench.pace import pace

QUEUE = "default"
POLL_SECONDS = 0.02


class Tasks:
    """Spawns chains, and knows when each is done."""

    def __init__(self, dsn: str, load: Load) -> None:
        self.app = AsyncAbsurd(dsn)
        self._spawner = AsyncAbsurd(dsn)
        self._load = load
        outputs.text = load.output()
        self._numbers = itertools.count()
        self._done: dict[int, asyncio.Event] = {}
        self.app.register_task(name="chain")(self._chain)

    async def _chain(self, params: Any, ctx: Any) -> int:
        number: int = params["number"]
        for place in range(STEPS):
            await ctx.step(f"step {place}", partial(self._step, number, place))
        self._done[number].set()
        return number

    async def _step(self, number: int, place: int) -> dict[str, Any]:
        pace.begin(number, first=place == 0)
        if self._load.io_ms:
            await asyncio.sleep(self._load.io_ms / 1000)
        return outputs.of(number)

    async def spawn(self) -> asyncio.Event:
        """Start one; set when it is done."""
        number = next(self._numbers)
        self._done[number] = asyncio.Event()
        await self._spawner.spawn("chain", {"number": number}, queue=QUEUE)
        return self._done[number]

    async def alone(self) -> float:
        """Seconds from the start to the end of one."""
        began = time.perf_counter()
        await (await self.spawn()).wait()
        return time.perf_counter() - began


async def measure(dsn: str, load: Load) -> Measured:
    """Spawn tasks one by one while a worker runs them, then some alone."""
    absurdctl = Path(sys.executable).parent / "absurdctl"
    installing = await asyncio.create_subprocess_exec(absurdctl, "init", "-d", dsn)
    assert await installing.wait() == 0
    tasks = Tasks(dsn, load)
    await tasks.app.create_queue(QUEUE)
    worker = asyncio.create_task(
        tasks.app.start_worker(concurrency=load.at_a_time, poll_interval=POLL_SECONDS)
    )
    for _ in range(20):
        await tasks.alone()
    pace.gaps.clear()
    with Meter(dsn) as meter:
        for event in [await tasks.spawn() for _ in range(load.runs)]:
            await event.wait()
    gaps = list(pace.gaps)
    idle = [await tasks.alone() for _ in range(load.idle_runs)]
    measured = meter.measured(load.runs * STEPS, gaps, idle)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    return measured
