"""The jobs that this process has taken, so that it can end between two of them."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager


class Intake:
    """Counts jobs under way. Once it is closed none is to begin."""

    def __init__(self) -> None:
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

    async def drain(self, grace: float) -> bool:
        """Close; whether everything under way has ended within `grace` seconds."""
        self.is_closed = True
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
