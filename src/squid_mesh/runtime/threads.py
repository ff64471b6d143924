"""Threads for sync bodies: ours, so that a body that never ends can't hold up the process's end.

When it exits the interpreter joins the threads of `concurrent.futures`, daemon or not. Not these.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a function came to. Not a future's own exception: a future can't carry every one."""

    value: Any = None
    error: BaseException | None = None

    def unwrap(self) -> Any:
        """What the function returned; raises what it raised."""
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(frozen=True, slots=True)
class _Call:
    function: Callable[[], Any]
    future: asyncio.Future[Outcome]
    loop: asyncio.AbstractEventLoop

    def run(self) -> None:
        try:
            outcome = Outcome(value=self.function())
        except BaseException as error:  # noqa: BLE001 (a body may raise anything; its driver tells)
            outcome = Outcome(error=error)
        try:
            self.loop.call_soon_threadsafe(_answer, self.future, outcome)
        except RuntimeError:  # the loop is closed: nobody waits for this body any more
            return


def _answer(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)


class Threads:
    """As many threads as bodies run at once; an idle one takes the next body."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._started = 0

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call `function` in a thread, in a copy of the caller's context."""
        return (await self.begin(function)).unwrap()

    def begin(self, function: Callable[[], Any]) -> asyncio.Future[Outcome]:
        """Let a thread call `function`; what it came to is told on the loop."""
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        call = _Call(lambda: context.run(function), loop.create_future(), loop)
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            else:
                self._started += 1
                name = f"squid-mesh-step-{self._started}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
        self._calls.put(call)
        return call.future

    def close(self) -> None:
        """Let idle threads end; busy ones end with their body."""
        for _ in range(self._started):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()
            with self._lock:
                self._idle += 1
