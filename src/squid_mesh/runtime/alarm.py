"""Wakes what sleeps to the millisecond, as long as the process that put it to sleep lives.

A retry or a wait leaves a scheduled job, which Oban finds within a second or two: nothing in this
process's memory is needed. But the process that wrote it knows when it is due, and can be on time.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable

import psycopg

from squid_mesh.store.committer import Lost

logger = logging.getLogger(__name__)

FAR_SECONDS = 600.0
"""What is due later isn't kept in memory: a second more or less doesn't matter to it."""

type Stage = Callable[[list[int]], Awaitable[None]]
"""Makes jobs available."""


class Alarm:
    """Jobs by the moment that they are due."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._due: list[tuple[float, int]] = []
        self._sooner = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch the clock."""
        self._task = asyncio.create_task(self._run(), name="squid-mesh-alarm")

    async def stop(self) -> None:
        """End; what is still to come is Oban's to stage."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def set(self, job: int, seconds: float) -> None:
        """Have a job made available in so many seconds."""
        if seconds > FAR_SECONDS:
            return
        heapq.heappush(self._due, (_now() + seconds, job))
        if self._due[0][1] == job:
            self._sooner.set()

    async def _run(self) -> None:
        while True:
            await self._until_next()
            jobs = self._take()
            if jobs:
                try:
                    await self._stage(jobs)
                except (Lost, psycopg.Error):
                    logger.info("%d due jobs are left to Oban's stager", len(jobs))

    async def _until_next(self) -> None:
        """Wait for the next job's moment, or for a sooner one to be set."""
        self._sooner.clear()
        try:
            async with asyncio.timeout_at(self._due[0][0] if self._due else None):
                await self._sooner.wait()
        except TimeoutError:
            return

    def _take(self) -> list[int]:
        now = _now()
        jobs: list[int] = []
        while self._due and self._due[0][0] <= now:
            jobs.append(heapq.heappop(self._due)[1])
        return jobs


def _now() -> float:
    return asyncio.get_running_loop().time()
