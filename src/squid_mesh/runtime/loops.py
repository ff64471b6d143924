"""The one shape of every background loop: start, tick until stopped, survive what a tick meets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from squid_mesh.store.committer import Lost
from squid_mesh.store.trouble import Trouble, passes

logger = logging.getLogger(__name__)


LONGEST_PAUSE = 2.0
"""Seconds between two ticks that fail, unless the loop is slower than that by itself."""


class Loop:
    """Calls `tick` every `interval` seconds, or at once when woken.

    Ticks that fail come at growing intervals, whoever wakes the loop. Why they do is said once: by
    `trouble` when it is the database's, otherwise when it isn't what the last one failed for.
    """

    def __init__(
        self,
        name: str,
        tick: Callable[[], Awaitable[object]],
        interval: float,
        trouble: Trouble,
    ) -> None:
        self._name = name
        self._tick = tick
        self._interval = interval
        self._trouble = trouble
        self._failures = 0
        self._said = ""
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
            except Exception as error:  # noqa: BLE001 (logged; the next tick may do better)
                self._failures += 1
                self._tell(error)
                await self._back_off()
            else:
                self._trouble.over(self._name)
                self._failures, self._said = 0, ""
                await self._pause()

    def _tell(self, error: Exception) -> None:
        if isinstance(error, Lost) or passes(error):
            self._trouble.met(self._name, error)
        elif repr(error) != self._said:
            self._said = repr(error)
            logger.error(
                "%s: a tick failed, it is tried again", self._name, exc_info=error, stacklevel=2
            )

    async def _back_off(self) -> None:
        pause = self._interval * 2.0 ** min(self._failures - 1, 10)
        await asyncio.sleep(min(pause, max(self._interval, LONGEST_PAUSE)))

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._interval):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
