"""Squid Mesh, as it ships: history, guards and recovery on."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

from bench.endings import Endings
from bench.load import STEPS, Load, Measured
from bench.meter import Meter
from bench.pace import pace
from squid_mesh import Mesh, Payload, Workflow, complete, step

STARTERS = 8


class ChainPayload(Payload):
    """A run's number, and what its steps do."""

    number: int
    io_ms: float = 0.0
    text: str = ""


async def first(number: int, io_ms: float, text: str) -> dict[str, Any]:
    """Begin."""
    pace.begin(number, first=True)
    if io_ms:
        await asyncio.sleep(io_ms / 1000)
    return {"number": number, "text": text}


async def following(before: dict[str, Any], io_ms: float) -> dict[str, Any]:
    """Pass it on."""
    pace.begin(before["number"], first=False)
    if io_ms:
        await asyncio.sleep(io_ms / 1000)
    return before


def first_sync(number: int, io_ms: float, text: str) -> dict[str, Any]:
    """Begin, in a thread."""
    pace.begin(number, first=True)
    if io_ms:
        time.sleep(io_ms / 1000)
    return {"number": number, "text": text}


def following_sync(before: dict[str, Any], io_ms: float) -> dict[str, Any]:
    """Pass it on, in a thread."""
    pace.begin(before["number"], first=False)
    if io_ms:
        time.sleep(io_ms / 1000)
    return before


class Chain(Workflow[ChainPayload]):
    """Five async steps, one after the other."""

    one = step(first).takes(ChainPayload.number, ChainPayload.io_ms, ChainPayload.text)
    two = step(following).takes(one.output, ChainPayload.io_ms)
    three = step(following).takes(two.output, ChainPayload.io_ms)
    four = step(following).takes(three.output, ChainPayload.io_ms)
    five = step(following).takes(four.output, ChainPayload.io_ms)

    flow = one >> two >> three >> four >> five >> complete


class SyncChain(Workflow[ChainPayload]):
    """Five plain functions, one after the other."""

    one = step(first_sync).takes(ChainPayload.number, ChainPayload.io_ms, ChainPayload.text)
    two = step(following_sync).takes(one.output, ChainPayload.io_ms)
    three = step(following_sync).takes(two.output, ChainPayload.io_ms)
    four = step(following_sync).takes(three.output, ChainPayload.io_ms)
    five = step(following_sync).takes(four.output, ChainPayload.io_ms)

    flow = one >> two >> three >> four >> five >> complete


async def measure(dsn: str, load: Load) -> Measured:
    """Start runs one by one from a few starters, drive them, then some alone; check a few."""
    ended = Endings()
    workflow = SyncChain if load.sync else Chain
    mesh = Mesh.connect(
        dsn,
        workflows=[workflow],
        queues={"squid_mesh": load.at_a_time},
        install=True,
        observers=[ended],
    )
    numbers = itertools.count()
    output = load.output()

    def payload() -> ChainPayload:
        return ChainPayload(number=next(numbers), io_ms=load.io_ms, text=output)

    async def alone() -> float:
        began = time.perf_counter()
        run = await mesh.start_run(workflow, payload())
        await ended.of(run.id)
        return time.perf_counter() - began

    async def starter(count: int) -> None:
        for _ in range(count):
            await mesh.start_run(workflow, payload())

    async with mesh:
        for _ in range(20):
            await alone()
        ended.expect(load.runs)
        pace.gaps.clear()
        with Meter(dsn) as meter:
            shares = [load.runs // STARTERS + (n < load.runs % STARTERS) for n in range(STARTERS)]
            await asyncio.gather(*map(starter, shares), ended.all.wait())
        gaps = list(pace.gaps)
        await _check(mesh)
        idle = [await alone() for _ in range(load.idle_runs)]
    return meter.measured(load.runs * STEPS, gaps, idle)


async def _check(mesh: Mesh) -> None:
    """What was measured is really there."""
    for run in (await mesh.list_runs(limit=20)).runs:
        details = await mesh.inspect_run(run.id, include_history=True)
        assert details.status == "completed", details
        assert [len(state.attempts) for state in details.steps] == [1] * STEPS
        assert len(details.context) == STEPS
        assert details.definition
