"""Five-step chains: how many steps a second, at what price, and how long one run takes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from uuid import UUID

from bench.meter import Cost, Meter
from bench.workflows import STEPS, Chain, ChainPayload, pace
from squid_mesh import Mesh
from squid_mesh.telemetry import Event, RunEnded

STARTERS = 8


@dataclass(frozen=True, slots=True)
class Throughput:
    """What many runs at once cost, and the gaps between their steps."""

    runs: int
    cost: Cost
    gaps: list[float]

    def __str__(self) -> str:
        steps = self.runs * STEPS
        cost = self.cost
        client, server = cost.client_seconds / steps * 1e6, cost.server_seconds / steps * 1e6
        return (
            f"{steps / cost.seconds:7,.0f} steps/s  {cost.commits / steps:.3f} commits  "
            f"{cost.wal_bytes / steps:5,.0f} B WAL  client {client:3.0f} µs  "
            f"server {server:3.0f} µs  step to step p50 {percentile(self.gaps, 50):.1f} "
            f"p99 {percentile(self.gaps, 99):.1f} ms"
        )


async def throughput(dsn: str, *, runs: int, at_a_time: int) -> Throughput:
    """Start `runs` runs one by one from a few starters, and drive them `at_a_time`."""
    ended = Endings()
    mesh = Mesh.connect(
        dsn,
        workflows=[Chain],
        queues={"squid_mesh": at_a_time},
        install=True,
        observers=[ended],
    )
    async with mesh:
        await _warm_up(mesh, ended)
        ended.expect(runs)
        pace.gaps.clear()
        with Meter(dsn) as meter:
            await asyncio.gather(_start(mesh, runs), ended.all.wait())
    return Throughput(runs, meter.cost(), list(pace.gaps))


async def latency(dsn: str, *, runs: int) -> list[float]:
    """Seconds from the start to the end of runs that come one by one, with nothing else to do."""
    ended = Endings()
    mesh = Mesh.connect(
        dsn, workflows=[Chain], queues={"squid_mesh": 10}, install=True, observers=[ended]
    )
    took: list[float] = []
    async with mesh:
        await _warm_up(mesh, ended)
        for number in range(runs):
            began = perf_counter()
            run = await mesh.start_run(Chain, ChainPayload(number=number))
            await ended.of(run.id)
            took.append(perf_counter() - began)
    return took


class Endings:
    """Observes runs that end: one by one, and all of them."""

    def __init__(self) -> None:
        self.all = asyncio.Event()
        self._left = 0
        self._ended: dict[UUID, asyncio.Event] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunEnded):
            self._left -= 1
            if self._left == 0:
                self.all.set()
            self._event(event.run_id).set()

    async def of(self, run_id: UUID) -> None:
        """Wait for one run."""
        await self._event(run_id).wait()
        del self._ended[run_id]

    def expect(self, runs: int) -> None:
        """Count from here."""
        self._left = runs
        self.all.clear()

    def _event(self, run_id: UUID) -> asyncio.Event:
        return self._ended.setdefault(run_id, asyncio.Event())


async def _warm_up(mesh: Mesh, ended: Endings) -> None:
    """Plans and connections are made before anything is measured."""
    for number in range(20):
        run = await mesh.start_run(Chain, ChainPayload(number=number))
        await ended.of(run.id)


async def _start(mesh: Mesh, runs: int) -> None:
    numbers = itertools.count()

    async def starter() -> None:
        while (number := next(numbers)) < runs:
            await mesh.start_run(Chain, ChainPayload(number=number))

    await asyncio.gather(*(starter() for _ in range(STARTERS)))


def percentile(seconds: Sequence[float], percent: int) -> float:
    """A percentile, in milliseconds."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)] * 1000
