"""The one shape of every background loop: start, tick until stopped, survive what a tick meets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)


class Loop:
    """Calls `tick` every `interval` seconds, or at once when woken."""

    def __init__(self, name: str, tick: Callable[[], Awaitable[object]], interval: float) -> None:
        self._name = name
        self._tick = tick
        self._interval = interval
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to tick."""
        self._task = asyncio.create_task(self._run(), name=f"squid-mesh-{self._name}")

    def wake(self) -> None:
        """Tick at once."""
        self._woken.set()

    async def stop(self) -> None:
        """End, also in the middle of a tick."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._tick()
            except Exception:
                logger.exception("%s: a tick failed, the next one comes as planned", self._name)
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._interval):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
