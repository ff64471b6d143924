"""Chains, lists and looks on top of a million runs and five million steps; then their pruning."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg

from bench.endings import Endings
from bench.meter import Meter
from bench.studies import Case, Row
from bench.studies.lists import lists
from bench.studies.rows import costs, spread
from bench.systems.squid import Chain, ChainPayload
from squid_mesh import Mesh, RunStatus
from tests.crowd import crowd

RUNS = 1_000_000
CHAINS = 2_000
LOOKS = 300
MORE_STEPS = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
SOME = "select id from squid_mesh.runs where workflow = 'Chain' order by random() limit %s"


async def history(dsn: str, scale: float) -> list[Row]:
    """Before, and on top of it."""
    runs = int(RUNS * scale)
    rows = [{"history": "none"} | await _chains(dsn, scale)]
    await _crowd(dsn, runs)
    rows.append({"history": f"{runs:,} runs"} | await _chains(dsn, scale))
    return rows + await _looks(dsn) + await _pruning(dsn)


async def pages(dsn: str, scale: float) -> list[Row]:
    """Every filter of `list_runs`."""
    found = await lists(dsn, runs=int(RUNS * scale))
    rows: list[Row] = []
    for name, took in found.items():
        rows.append({"list_runs by": name, "page": "1"} | spread("a page", took.first))
        if took.deep:
            rows.append({"list_runs by": name, "page": "500"} | spread("a page", took.deep))
    return rows


async def _chains(dsn: str, scale: float) -> Row:
    ended = Endings()
    count = int(CHAINS * min(scale * 10, 1))
    mesh = Mesh.connect(
        dsn, workflows=[Chain], queues={"squid_mesh": 200}, install=True, observers=[ended]
    )
    async with mesh:
        for _ in range(3):  # the caches are warm, and the plans are made
            row = await _driven(mesh, ended, dsn, count)
    return row


async def _driven(mesh: Mesh, ended: Endings, dsn: str, count: int) -> Row:
    ended.expect(count)
    with Meter(dsn) as meter:
        payloads = [ChainPayload(number=n) for n in range(count)]
        await asyncio.gather(mesh.start_runs(Chain, payloads), ended.all.wait())
    return costs(meter.measured(count * 5))


async def _crowd(dsn: str, runs: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("truncate squid_mesh.runs, squid_mesh.steps cascade")
        await crowd(dsn, int(runs * 1.2))
        connection.execute("delete from squid_mesh.runs where outcome is null")
        connection.execute(MORE_STEPS)
        connection.execute("vacuum analyze")


async def _looks(dsn: str) -> list[Row]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        some: Any = [run for (run,) in connection.execute(SOME, (LOOKS,))]
    mesh = Mesh.connect(dsn, workflows=[Chain], queues={})
    async with mesh:
        run = await mesh.start_run(Chain, ChainPayload(number=1))

        async def explain(_: Any) -> Any:
            return await mesh.explain_run(run.id)

        return [
            {"look": "inspect_run"} | await _took(mesh.inspect_run, some),
            {"look": "explain_run, of a live one"} | await _took(explain, some),
        ]


async def _took(look: Callable[[Any], Awaitable[Any]], runs: list[Any]) -> Row:
    seconds: list[float] = []
    for run in runs:
        began = perf_counter()
        await look(run)
        seconds.append(perf_counter() - began)
    return spread("a look", seconds)


async def _pruning(dsn: str) -> list[Row]:
    """Everything that has ended, while nothing else goes on."""
    mesh = Mesh.connect(dsn, workflows=[Chain], queues={})
    async with mesh:
        with Meter(dsn) as meter:
            began = perf_counter()
            pruned = await mesh.prune(
                older_than=timedelta(hours=1), statuses=[RunStatus.COMPLETED, RunStatus.FAILED]
            )
            took = perf_counter() - began
    measured = meter.measured(max(pruned.runs, 1))
    return [
        {
            "pruned runs": pruned.runs,
            "seconds": took,
            "runs/s": pruned.runs / took,
            "WAL B a run": measured.wal_bytes / measured.steps,
            "batches": measured.commits,
        }
    ]


CASES: dict[str, Case] = {"history": history, "pages": pages}
