"""Fifty thousand runs are started at once, and somebody approves something while they drain."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import psycopg

from bench.endings import Endings
from bench.meter import Meter
from bench.studies import Case, Row
from bench.studies.rows import costs, spread
from bench.systems.squid import Chain, ChainPayload
from squid_mesh import SETTLED, Decision, Mesh, NoPayload, Workflow, approval, complete, step

RUNS = 50_000
AT_ONCE = 1_000
"""Runs of one call of `start_runs`."""
APPROVALS = 20
AT_A_TIME = 200
LIVE = "select count(*) from squid_mesh.runs where outcome is null"


async def after(decision: Decision) -> str:
    """What waits for somebody."""
    return decision.decision


class Approved(Workflow[NoPayload]):
    """An approval, and a step."""

    review = approval()
    done = step(after).takes(review.output)
    flow = review.on_approved >> done >> complete, review.on_rejected >> complete


async def burst(dsn: str, scale: float) -> list[Row]:
    """Start, drain, and approve meanwhile."""
    runs = int(RUNS * scale)
    ended = Endings()
    mesh = Mesh.connect(
        dsn,
        workflows=[Chain, Approved],
        queues={"squid_mesh": AT_A_TIME},
        install=True,
        observers=[ended],
    )
    async with mesh:
        waiting = [await mesh.start_run(Approved) for _ in range(APPROVALS)]
        for run in waiting:
            await mesh.wait_for_run(run.id, until=SETTLED, timeout=timedelta(seconds=20))
        ended.expect(runs + APPROVALS)
        took: list[float] = []
        with Meter(dsn) as meter:
            began = time.perf_counter()
            for start in range(0, runs, AT_ONCE):
                payloads = [ChainPayload(number=start + n) for n in range(AT_ONCE)]
                await mesh.start_runs(Chain, payloads)
            started = time.perf_counter() - began
            left = _live(dsn)
            for run in waiting:
                asked = time.perf_counter()
                await mesh.approve_run(run.id, actor="bench")
                await ended.of(run.id)
                took.append(time.perf_counter() - asked)
                await asyncio.sleep(0.1)
            left_then = _live(dsn)
            await ended.all.wait()
        assert _live(dsn) == 0
    row: Row = {"runs": runs, "starts/s": runs / started, "left at first": left}
    row |= {"left after the approvals": left_then}
    return [row | spread("approval to end", took) | costs(meter.measured(runs * 5))]


def _live(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row: Any = connection.execute(LIVE).fetchone()
    return int(row[0])


CASES: dict[str, Case] = {"burst": burst}
