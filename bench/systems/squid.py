"""Squid Mesh, as it ships: history, guards and recovery on."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import psycopg

from bench.endings import Endings
from bench.load import STEPS, Load, Measured
from bench.meter import Meter
from bench.outputs import outputs
from bench.pace import pace
from squid_mesh import Mesh, Payload, Workflow, complete, step


class ChainPayload(Payload):
    """A run's number, and what its steps do."""

    number: int
    io_ms: float = 0.0


async def first(number: int, io_ms: float) -> dict[str, Any]:
    """Begin."""
    pace.begin(number, first=True)
    if io_ms:
        await asyncio.sleep(io_ms / 1000)
    return outputs.of(number)


async def following(before: dict[str, Any], io_ms: float) -> dict[str, Any]:
    """Pass it on."""
    pace.begin(before["number"], first=False)
    if io_ms:
        await asyncio.sleep(io_ms / 1000)
    return before


def first_sync(number: int, io_ms: float) -> dict[str, Any]:
    """Begin, in a thread."""
    pace.begin(number, first=True)
    if io_ms:
        time.sleep(io_ms / 1000)
    return outputs.of(number)


def following_sync(before: dict[str, Any], io_ms: float) -> dict[str, Any]:
    """Pass it on, in a thread."""
    pace.begin(before["number"], first=False)
    if io_ms:
        time.sleep(io_ms / 1000)
    return before


class Chain(Workflow[ChainPayload]):
    """Five async steps, one after the other."""

    one = step(first).takes(ChainPayload.number, ChainPayload.io_ms)
    two = step(following).takes(one.output, ChainPayload.io_ms)
    three = step(following).takes(two.output, ChainPayload.io_ms)
    four = step(following).takes(three.output, ChainPayload.io_ms)
    five = step(following).takes(four.output, ChainPayload.io_ms)

    flow = one >> two >> three >> four >> five >> complete


class SyncChain(Workflow[ChainPayload]):
    """Five plain functions, one after the other."""

    one = step(first_sync).takes(ChainPayload.number, ChainPayload.io_ms)
    two = step(following_sync).takes(one.output, ChainPayload.io_ms)
    three = step(following_sync).takes(two.output, ChainPayload.io_ms)
    four = step(following_sync).takes(three.output, ChainPayload.io_ms)
    five = step(following_sync).takes(four.output, ChainPayload.io_ms)

    flow = one >> two >> three >> four >> five >> complete


LIVE = "select exists (select from squid_mesh.runs where outcome is null)"


async def measure(dsn: str, load: Load) -> Measured:
    """As many clients as places start runs, one after the other; then some come alone."""
    workflow = SyncChain if load.sync else Chain
    outputs.text = load.output()
    chains = Chains(workflow, load)
    options: dict[str, Any] = {
        "workflows": [workflow],
        "queues": {"squid_mesh": load.at_a_time},
        "install": True,
    }
    async with Mesh.connect(dsn, **options) as mesh:
        await chains.start(mesh, 20)
        await drained(dsn)
        pace.gaps.clear()
        with Meter(dsn) as meter:
            starters = load.at_a_time
            shares = [load.runs // starters + (n < load.runs % starters) for n in range(starters)]
            await asyncio.gather(*(chains.start(mesh, share) for share in shares))
            await drained(dsn)
        gaps = list(pace.gaps)
        await _check(mesh)
    ended = Endings()
    async with Mesh.connect(dsn, **options, observers=[ended]) as mesh:
        idle = [await chains.alone(mesh, ended) for _ in range(20 + load.idle_runs)]
    return meter.measured(load.runs * STEPS, gaps, idle[20:])


async def drained(dsn: str) -> None:
    """Wait until no run lives."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        while connection.execute(LIVE).fetchone() == (True,):  # noqa: ASYNC110  # nobody listens
            await asyncio.sleep(0.01)


class Chains:
    """Starts runs of one workflow, each with a number."""

    def __init__(self, workflow: type[Workflow[ChainPayload]], load: Load) -> None:
        self._workflow = workflow
        self._load = load
        self._numbers = itertools.count()

    async def start(self, mesh: Mesh, count: int) -> None:
        """Start so many, one after the other."""
        for _ in range(count):
            await mesh.start_run(self._workflow, self._payload())

    async def alone(self, mesh: Mesh, ended: Endings) -> float:
        """Seconds from the start to the end of one."""
        began = time.perf_counter()
        run = await mesh.start_run(self._workflow, self._payload())
        await ended.of(run.id)
        return time.perf_counter() - began

    def _payload(self) -> ChainPayload:
        number = next(self._numbers)
        return ChainPayload(number=number, io_ms=self._load.io_ms)


async def _check(mesh: Mesh) -> None:
    """What was measured is really there."""
    for run in (await mesh.list_runs(limit=20)).runs:
        details = await mesh.inspect_run(run.id, include_history=True)
        assert details.status == "completed", details
        assert [len(state.attempts) for state in details.steps] == [1] * STEPS
        assert len(details.context) == STEPS
        assert details.definition
