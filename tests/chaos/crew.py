"""The workers of a chaos run, and the supervisor that starts another when one has ended."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.worker import Job, Pace, play

logger = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds within which a worker that was told to end has ended, whatever the server does."""


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.chaos.worker"])  # loading takes longer than most boots live


class Worker:
    """One process."""

    def __init__(self, job: Job) -> None:
        self.user = job.user
        self.boot: int | None = None
        """Once it is up."""
        self.struck = False
        """Whether its end is somebody's will."""
        self._hearing, saying = _context.Pipe(duplex=False)
        self._process = _context.Process(target=play, args=(job, saying), daemon=True)
        self._process.start()
        saying.close()
        self._ended: asyncio.Task[int | None] = asyncio.create_task(self._end())

    async def comes_up(self) -> None:
        """Wait until it drives runs, or has ended."""
        with suppress(EOFError):
            self.boot = await asyncio.to_thread(self._hearing.recv)

    async def has_ended(self) -> int | None:
        """Wait until it has ended; its status."""
        return await asyncio.shield(self._ended)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; to one that has ended it is none."""
        assert self._process.pid is not None
        if not self._ended.done():
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def dies(self) -> None:
        """Kill it."""
        self.struck = True
        self.signal(signal.SIGKILL)
        await self.has_ended()

    async def ends(self) -> bool:
        """Tell it to end; whether it has, in time."""
        self.struck = True
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(PATIENCE):
                await self.has_ended()
        except TimeoutError:
            await self.dies()
            return False
        return True

    async def _end(self) -> int | None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._process.sentinel, ended.set)
        await ended.wait()
        loop.remove_reader(self._process.sentinel)
        self._process.join()
        self._hearing.close()
        return self._process.exitcode


@dataclass
class Crew:
    """As many workers as there are users. `troubles` is what none of them should have done."""

    users: list[str]
    dsns: dict[str, str]
    ledger_dsn: str
    pace: Pace
    log: Path
    troubles: list[str] = field(default_factory=list)
    up: dict[str, Worker] = field(default_factory=dict)
    boots: int = 0
    _places: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Start all, and wait until they are up."""
        self._places = [asyncio.create_task(self._keep(user)) for user in self.users]
        while len(self.up) < len(self.users):
            await asyncio.sleep(0.05)

    def pick(self, number: int) -> Worker | None:
        """One of those that are up."""
        users = sorted(user for user, worker in self.up.items() if not worker.struck)
        return self.up[users[number % len(users)]] if users else None

    async def stop(self) -> None:
        """Have all end, as a deployment would."""
        for place in self._places:
            place.cancel()
        await asyncio.gather(*self._places, return_exceptions=True)
        ended = await asyncio.gather(*(worker.ends() for worker in self.up.values()))
        if not all(ended):
            self.troubles.append("a worker that was told to end didn't")
        self.up.clear()

    async def _keep(self, user: str) -> None:
        """Keep a place filled."""
        job = Job(user, self.dsns[user], self.ledger_dsn, self.pace, self.log)
        while True:
            worker = Worker(job)
            try:
                await self._watch(worker)
            finally:
                if user not in self.up:
                    await worker.dies()
            await asyncio.sleep(0.1)

    async def _watch(self, worker: Worker) -> None:
        await worker.comes_up()
        logger.info("%s is up: boot %s", worker.user, worker.boot)
        if worker.boot is not None:
            self.boots += 1
            self.up[worker.user] = worker
        status = await worker.has_ended()
        logger.info("%s, boot %s, has ended: %s", worker.user, worker.boot, status)
        if self.up.pop(worker.user, None) is not None and not worker.struck:
            self.troubles.append(f"a worker ended by itself, with status {status}")
