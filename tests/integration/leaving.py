"""Processes that are told to end, and what a test sees of them."""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from uuid import UUID

from squid_mesh import NoPayload, Workflow
from tests.clock import every, one
from tests.integration import shutdown_process
from tests.integration.shutdown_process import WORKFLOWS
from tests.meshes import eventually, on_host


@dataclass
class Worker:
    """A process that drives runs."""

    process: asyncio.subprocess.Process
    boot: int = 0

    async def opens(self) -> None:
        """Let it open its mesh."""
        self.tell("open")
        (boot,) = await self.says("up")
        self.boot = int(boot)

    async def says(self, what: str) -> list[str]:
        """The rest of its next line, which begins so."""
        assert self.process.stdout
        first, *rest = (await self.process.stdout.readline()).decode().split()
        assert first == what
        return rest

    async def says_when(self, what: str) -> float:
        """When it said so."""
        (moment,) = await self.says(what)
        return float(moment)

    def tell(self, line: str) -> None:
        """Let a body go on."""
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n".encode())

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)

    async def is_gone(self) -> int:
        """Its exit code."""
        return await asyncio.wait_for(self.process.wait(), 10)


@asynccontextmanager
async def worker(
    dsn: str, grace: float, lease: timedelta = shutdown_process.LEASE
) -> AsyncGenerator[Worker]:
    """A process that is about to open its mesh."""
    start = f"from {shutdown_process.__name__} import start; start()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", start, dsn, str(grace), str(lease.total_seconds())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        worker = Worker(process)
        await worker.says("ready")
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def start(dsn: str, workflow: type[Workflow[NoPayload]], count: int) -> list[UUID]:
    """Start runs where nobody drives them but the workers."""
    async with on_host(dsn, WORKFLOWS, queues={}) as mesh:
        return [run.id for run in await mesh.start_runs(workflow, [{}] * count)]


async def have_ended(dsn: str, count: int) -> None:
    """Wait until so many runs have."""

    async def have() -> bool:
        return (
            len(await every(dsn, "select 1 from squid_mesh.runs where ended_at < now()")) >= count
        )

    await eventually(have)


async def are_ended(dsn: str) -> None:
    """Wait until all runs have completed."""
    await have_ended(dsn, len(await every(dsn, "select 1 from squid_mesh.runs")))
    assert await every(dsn, "select distinct status from squid_mesh.runs") == [("completed",)]


async def claimed(dsn: str, boot: int, step: str, count: int = 1) -> None:
    """Wait until a process has begun a step of so many runs."""

    async def is_claimed() -> bool:
        query = "select count(*) from squid_mesh.steps where claim = %s and step = %s"
        (found,) = await one(dsn, query, boot, step)
        return bool(found >= count)

    await eventually(is_claimed)


async def attempts(dsn: str, step: str) -> list[tuple[int, str, int]]:
    """Number, status and boot of every attempt at a step, in order."""
    query = "select number, status, claim from squid_mesh.step_attempts where step = %s order by 1"
    return [(number, status, claim) for number, status, claim in await every(dsn, query, step)]


async def begun_at(dsn: str, step: str, number: int) -> float:
    """When an attempt began."""
    query = "select max(started_at) from squid_mesh.step_attempts where step = %s and number = %s"
    (moment,) = await one(dsn, query, step, number)
    assert isinstance(moment, datetime)
    return moment.timestamp()


async def has_no_gaps(dsn: str) -> None:
    """Every step's attempts are numbered 1…n, and all but the last were interrupted."""
    rows = await every(
        dsn, "select run_id, step, number, status from squid_mesh.step_attempts order by 1, 2, 3"
    )
    for _, of_step in groupby(rows, key=itemgetter(0, 1)):
        numbers, statuses = zip(*((number, status) for *_, number, status in of_step), strict=True)
        assert numbers == tuple(range(1, len(numbers) + 1))
        assert statuses == ("interrupted",) * (len(numbers) - 1) + ("completed",)
