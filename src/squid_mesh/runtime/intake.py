"""The jobs that this process has taken, so that it can end between two of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from squid_mesh.store.committer import Lost

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PutBack:
    """The job is to come again, in so many seconds."""

    seconds: float


class Intake:
    """Counts jobs under way. Once it is closed none is to begin.

    `give_back` makes a job available to others.
    """

    def __init__(self, give_back: Callable[[int], Awaitable[None]]) -> None:
        self._give_back = give_back
        self._given_back: set[int] = set()
        self.is_closed = False
        self._jobs = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def job(self) -> Generator[None]:
        """Count one job for as long as it is under way."""
        self._jobs += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._jobs -= 1
            if not self._jobs:
                self._idle.set()

    def close(self) -> None:
        """Let none begin from now on."""
        self.is_closed = True

    async def turn_away(self, job: int | None) -> PutBack:
        """Refuse a job that was fetched as this process closed: others have it at once.

        Only once: one that comes here again, because this process goes on fetching, mustn't storm.
        """
        if job is not None and job not in self._given_back:
            self._given_back.add(job)
            try:
                await self._give_back(job)
            except (Lost, psycopg.Error) as error:
                logger.info("job %d is put back by Oban: %s", job, error)
        return PutBack(1.0)

    async def drain(self, grace: float) -> bool:
        """Close; whether everything under way has ended within `grace` seconds."""
        self.close()
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
