"""When runs have ended: one of them, or so many."""

from __future__ import annotations

import asyncio
from uuid import UUID

from squid_mesh.telemetry import Event, RunEnded


class Endings:
    """Observes runs that end: one by one, and all of them."""

    def __init__(self) -> None:
        self.all = asyncio.Event()
        self._left = 0
        self._ended: dict[UUID, asyncio.Event] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunEnded):
            self._left -= 1
            if self._left == 0:
                self.all.set()
            self._event(event.run_id).set()

    async def of(self, run_id: UUID) -> None:
        """Wait for one run."""
        await self._event(run_id).wait()
        del self._ended[run_id]

    def expect(self, runs: int) -> None:
        """Count from here."""
        self._left = runs
        self.all.clear()

    def _event(self, run_id: UUID) -> asyncio.Event:
        return self._ended.setdefault(run_id, asyncio.Event())
