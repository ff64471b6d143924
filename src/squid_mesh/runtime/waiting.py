"""Waits for runs: told at once of what ends here, asking for the rest together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from uuid import UUID

from squid_mesh.engine.states import RunStatus
from squid_mesh.runtime.loops import Loop

type AskStatuses = Callable[[Collection[UUID]], Awaitable[Iterable[tuple[UUID, RunStatus]]]]
"""Where runs stand, read from the database."""


class Waiters:
    """Everybody in this process who waits for a run: one statement a tick, none for nobody."""

    def __init__(self, ask: AskStatuses, interval: float) -> None:
        self._ask = ask
        self._waiting: dict[UUID, set[_Waiter]] = {}
        self._loop = Loop("waiting", self._tick, interval)

    def start(self) -> None:
        """Begin to ask."""
        self._loop.start()

    async def stop(self) -> None:
        """End; those who still wait go on until their own timeout."""
        await self._loop.stop()

    def tell(self, run_id: UUID, status: RunStatus) -> None:
        """A run has come to a status."""
        for waiter in tuple(self._waiting.get(run_id, ())):
            waiter.tell(status)

    async def wait(self, run_id: UUID, until: Collection[RunStatus], timeout: float) -> bool:
        """Whether the run came to one of `until` within `timeout` seconds."""
        waiter = _Waiter(frozenset(until))
        self._waiting.setdefault(run_id, set()).add(waiter)
        self._loop.wake()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await waiter.arrived.wait()
            return waiter.arrived.is_set()
        finally:
            self._waiting[run_id].discard(waiter)
            if not self._waiting[run_id]:
                del self._waiting[run_id]

    async def _tick(self) -> None:
        if self._waiting:
            for run_id, status in await self._ask(list(self._waiting)):
                self.tell(run_id, status)


class _Waiter:
    def __init__(self, until: frozenset[RunStatus]) -> None:
        self.until = until
        self.arrived = asyncio.Event()

    def tell(self, status: RunStatus) -> None:
        if status in self.until:
            self.arrived.set()
