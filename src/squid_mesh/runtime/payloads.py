"""Makes the payloads of cron windows: by the function that the trigger names, or from defaults."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson

from squid_mesh.definition.actions import name_of
from squid_mesh.definition.compile import Definition
from squid_mesh.definition.options import Window
from squid_mesh.runtime.bodies import is_being_cancelled
from squid_mesh.runtime.failures import from_exception
from squid_mesh.runtime.starting import Request, to_start, uuid7
from squid_mesh.runtime.threads import Threads
from squid_mesh.store.records import FailedWindow, Start

MAKING_SECONDS = 30.0
"""How long a payload function may take."""

PAYLOAD_FAILED = "payload_failed"
"""The code of the error of a run whose payload couldn't be made."""


@dataclass(frozen=True, slots=True)
class Payloads:
    """Calls payload functions, sync ones in a thread."""

    threads: Threads

    async def start(
        self, definition: Definition, window: Window, tries: int
    ) -> Start | FailedWindow:
        """The start of a window's run, or its failure, after so many tries. Never raises."""
        maker = definition.windows.get(window.trigger)
        try:
            payload = None if maker is None else await self._made(maker, window)
            request = Request(payload=payload, trigger=window.trigger)
            return replace(to_start(definition, request), window_at=window.at)
        except BaseException as error:  # such a function may raise anything; its run tells
            if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                raise
            return _failed(definition, window, maker, error, tries)

    async def _made(self, maker: Callable[[Window], Any], window: Window) -> Any:
        deadline = asyncio.timeout(MAKING_SECONDS)
        try:
            async with deadline:
                made = await self.threads.run(partial(maker, window))
                return await made if inspect.isawaitable(made) else made
        except TimeoutError:
            if not deadline.expired():
                raise
            raise TimeoutError(f"it took longer than {MAKING_SECONDS:g} s") from None


def _failed(
    definition: Definition,
    window: Window,
    maker: Callable[[Window], Any] | None,
    error: BaseException,
    tries: int,
) -> FailedWindow:
    told = from_exception(error, "", tries).error
    what = "its payload's defaults" if maker is None else f"its payload function {name_of(maker)}"
    message = f"{what} failed for trigger {window.trigger!r} at {window.at}: {told['message']}"
    return FailedWindow(
        run_id=uuid7(),
        workflow=definition.spec.name,
        definition=definition.version,
        trigger=window.trigger,
        window_at=window.at,
        error=orjson.dumps(told | {"code": PAYLOAD_FAILED, "message": message}),
    )
