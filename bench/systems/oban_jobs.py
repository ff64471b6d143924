"""Plain Oban jobs, as a reference: one job a step, nothing that makes five of them one run."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

from oban import Oban, worker
from oban.schema import install

from bench.load import STEPS, Load, Measured
from bench.meter import Meter

QUEUE = "bench"
BATCH = 1000


class Done:
    """Counts jobs."""

    def __init__(self) -> None:
        self.all = asyncio.Event()
        self.left = 0

    def one(self) -> None:
        """A job is done."""
        self.left -= 1
        if self.left == 0:
            self.all.set()

    def expect(self, count: int) -> None:
        """Count from here."""
        self.left = count
        self.all.clear()


done: Done
io_ms = 0.0


@worker(queue=QUEUE)
class Job:
    """Does nothing, or waits."""

    async def process(self, _: Any) -> None:
        """Do it."""
        if io_ms:
            await asyncio.sleep(io_ms / 1000)
        done.one()


async def measure(dsn: str, load: Load) -> Measured:
    """Enqueue as many jobs as there are steps, in batches, while they are worked on."""
    global done, io_ms  # the worker is called by name
    done, io_ms = Done(), load.io_ms
    pool = await Oban.create_pool(dsn, max_size=10)
    await install(pool)
    numbers = itertools.count()
    async with Oban(pool=pool, queues={QUEUE: load.at_a_time}) as oban:

        async def alone() -> float:
            done.expect(1)
            began = time.perf_counter()
            await oban.enqueue(Job.new({"number": next(numbers)}))
            await done.all.wait()
            return time.perf_counter() - began

        for _ in range(20):
            await alone()
        steps = load.runs * STEPS
        done.expect(steps)
        with Meter(dsn) as meter:
            for _ in range(steps // BATCH):
                await oban.enqueue_many([Job.new({"number": n}) for n in range(BATCH)])
            await oban.enqueue_many([Job.new({"number": n}) for n in range(steps % BATCH)])
            await done.all.wait()
        idle = [await alone() for _ in range(load.idle_runs)]
    await pool.close()
    return meter.measured(steps, (), idle)
