"""Worker processes of a test: how it starts, asks, stops, continues and kills them."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from squid_mesh import Workflow
from tests.meshes import BOUND


@dataclass
class Process:
    """A process that drives runs."""

    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def says(self) -> str:
        """Its next line."""
        assert self.process.stdout
        async with asyncio.timeout(BOUND.total_seconds()):
            return (await self.process.stdout.readline()).decode().strip()

    async def asked(self, *request: str) -> str:
        """Its answer to a request."""
        assert self.process.stdin
        self.process.stdin.write(f"{' '.join(request)}\n".encode())
        return await self.says()

    async def starts(self, workflow: type[Workflow[Any]]) -> UUID:
        """Have it start a run."""
        return UUID(await self.asked("start", workflow.__name__))

    def stops(self) -> None:
        """It stands still, with all its threads, and knows nothing of it."""
        self.process.send_signal(signal.SIGSTOP)

    def goes_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def dies(self) -> None:
        """Kill it, at whatever point it is."""
        self.process.kill()
        await self.process.wait()

    async def leaves(self) -> None:
        """End it cleanly."""
        assert self.process.stdin
        self.process.stdin.close()
        assert await self.says() == "down"


async def spawn(module: str, *arguments: str) -> asyncio.subprocess.Process:
    """Run a module of the tests."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def worker(
    dsn: str, *, journal: str | None = None, **options: Any
) -> AsyncGenerator[Process]:
    """A worker that is up; its bodies write to `journal`, also when `dsn` leads through a proxy."""
    process = await spawn("tests.laws.worker", dsn, journal or dsn, json.dumps(options))
    try:
        worker = Process(process)
        assert await worker.says() == "up"
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def workers(dsn: str, count: int, **options: Any) -> AsyncGenerator[list[Process]]:
    """Several at once: each takes a second to load."""
    async with AsyncExitStack() as stack:
        entering = [stack.enter_async_context(worker(dsn, **options)) for _ in range(count)]
        yield list(await asyncio.gather(*entering))
