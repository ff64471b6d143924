"""The chains driven by one, two and four worker processes on the same machine."""

from __future__ import annotations

import asyncio
import resource
import sys
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg
import uvloop

from bench.meter import TICKS, Meter
from bench.studies import Case, Row
from bench.studies.rows import costs
from bench.systems.squid import Chain, ChainPayload
from squid_mesh import Mesh

RUNS = 6_000
AT_A_TIME = 200
"""In each process."""
LIVE = "select count(*) from squid_mesh.runs where outcome is null"


async def work(dsn: str) -> None:
    """A worker, until its standard input is closed."""
    async with Mesh.connect(dsn, workflows=[Chain], queues={"squid_mesh": AT_A_TIME}):
        print("up", flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def several(count: int, dsn: str, scale: float) -> list[Row]:
    """Start runs in this process, which drives none, and wait until they are over."""
    runs = int(RUNS * scale)
    mesh = Mesh.connect(dsn, workflows=[Chain], queues={}, install=True)
    async with mesh:
        workers = [await _worker(dsn) for _ in range(count)]
        await _drained(mesh, dsn, 500)
        used = sum(_cpu_seconds(worker.pid) for worker in workers)
        with Meter(dsn) as meter:
            began = perf_counter()
            await _drained(mesh, dsn, runs)
            took = perf_counter() - began
        used = sum(_cpu_seconds(worker.pid) for worker in workers) - used
        for worker in workers:
            worker.stdin.close()
            assert await worker.wait() == 0
    row = costs(meter.measured(runs * 5))
    row["steps/s"] = runs * 5 / took
    row["client µs a step"] = used / runs / 5 * 1e6
    row["peak MiB"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return [{"workers": count, "runs": runs} | row]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def _worker(dsn: str) -> Any:
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.studies.processes",
        dsn,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"up\n"
    return worker


async def _drained(mesh: Mesh, dsn: str, runs: int) -> None:
    for start in range(0, runs, 500):
        await mesh.start_runs(Chain, [ChainPayload(number=start + n) for n in range(500)])
    with psycopg.connect(dsn, autocommit=True) as connection:
        while connection.execute(LIVE).fetchone() != (0,):  # noqa: ASYNC110  # it is elsewhere
            await asyncio.sleep(0.02)


CASES: dict[str, Case] = {f"{count} workers": partial(several, count) for count in (1, 2, 4)}

if __name__ == "__main__":
    uvloop.run(work(sys.argv[1]))
