"""The flush statement alone: completions of runs that were started and claimed before."""

from __future__ import annotations

from bench.load import STEPS, Load, Measured
from bench.meter import Meter
from bench.systems.floor import GROUP, claimed, complete, writing


async def measure(dsn: str, load: Load) -> Measured:
    """Write the completions of whole groups, one after the other."""
    async with writing(dsn) as (starts, flushes, writer):
        groups = [await claimed(starts, flushes, writer, GROUP) for _ in range(load.runs // GROUP)]
        with Meter(dsn) as meter:
            for runs in groups:
                await complete(flushes, writer, runs)
        return meter.measured(len(groups) * GROUP * STEPS)
