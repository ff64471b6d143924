"""Waits for runs: told at once of what ends here, notified of what ends elsewhere.

Whoever waits looks once after he has begun to. What then takes longer is watched: the flush that
ends a watched run notifies, so a run that nobody waits for costs nothing. As a notification can get
lost with its connection, runs that are waited for are also read once in a while, all together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from squid_mesh.engine.states import RunStatus
from squid_mesh.runtime.loops import Loop
from squid_mesh.store.statements import Statements
from squid_mesh.store.trouble import Trouble

LOOK_SECONDS = 0.1
"""How often it is seen who waits, and for how long somebody has waited when his run is watched."""

READ_SECONDS = 1.0
"""How often runs that are waited for are read."""

_LISTENING = "listening"

type Use = Callable[[Callable[[AsyncConnection[Any]], Awaitable[Any]]], Awaitable[Any]]
"""Runs something on a connection for single statements."""


class Waiters:
    """Everybody in this process who waits for a run."""

    def __init__(
        self,
        statements: Statements,
        use: Use,
        connect: Callable[[], Awaitable[AsyncConnection[Any]]],
        trouble: Trouble,
    ) -> None:
        self._statements = statements
        self._use = use
        self._connect = connect
        self._trouble = trouble
        self._waiting: dict[UUID, set[_Waiter]] = {}
        self._watched: set[UUID] = set()
        self._read_at = 0.0
        self._looking = Loop("waiting", self._look, LOOK_SECONDS, trouble)
        self._listening = Loop(_LISTENING, self._listen, READ_SECONDS, trouble)

    def start(self) -> None:
        """Begin to look and to listen."""
        self._looking.start()
        self._listening.start()

    async def stop(self) -> None:
        """End; those who still wait go on until their own timeout."""
        await self._looking.stop()
        await self._listening.stop()

    def tell(self, run_id: UUID, status: RunStatus) -> None:
        """A run has come to a status."""
        for waiter in tuple(self._waiting.get(run_id, ())):
            waiter.tell(status)

    async def wait(self, run_id: UUID, until: Collection[RunStatus], timeout: float) -> bool:
        """Whether the run came to one of `until` within `timeout` seconds."""
        waiter = _Waiter(frozenset(until))
        self._waiting.setdefault(run_id, set()).add(waiter)
        self._looking.wake()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await waiter.arrived.wait()
            return waiter.arrived.is_set()
        finally:
            self._waiting[run_id].discard(waiter)
            if not self._waiting[run_id]:
                del self._waiting[run_id]
                self._watched.discard(run_id)

    async def _look(self) -> None:
        now = time.monotonic()
        unwatched = [i for i in self._waiting if i not in self._watched]
        late = [
            i for i in unwatched if any(w.since + LOOK_SECONDS <= now for w in self._waiting[i])
        ]
        if late:
            self._watched.update(await self._ask("watch_runs", late))
        new = [i for i in unwatched if any(not w.looked for w in self._waiting[i])]
        if new:
            await self._ask("get_statuses", new)
        elif self._waiting and self._read_at + READ_SECONDS <= now:
            self._read_at = now
            await self._ask("get_statuses", list(self._waiting))

    async def _ask(self, statement: str, runs: list[UUID]) -> list[UUID]:
        """Read where runs stand and tell; which of them were found."""
        asked = [waiter for run_id in runs for waiter in self._waiting.get(run_id, ())]

        async def ask(connection: AsyncConnection[Any]) -> list[tuple[UUID, str]]:
            cursor = await connection.execute(self._statements[statement], {"runs": runs})
            return await cursor.fetchall()

        found: list[tuple[UUID, str]] = await self._use(ask)
        for run_id, status in found:
            self.tell(run_id, RunStatus(status))
        for waiter in asked:
            waiter.looked = True
        return [run_id for run_id, _ in found]

    async def _listen(self) -> None:
        """Listen on a connection of its own until it breaks."""
        async with await self._connect() as connection:
            await connection.execute(f'listen "{self._statements.rest}"'.encode())
            self._trouble.over(_LISTENING)
            async for notice in connection.notifies():
                run_id, _, status = notice.payload.partition(" ")
                self.tell(UUID(run_id), RunStatus(status))


@dataclass(eq=False, slots=True)
class _Waiter:
    until: frozenset[RunStatus]
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    since: float = field(default_factory=time.monotonic)
    looked: bool = False

    def tell(self, status: RunStatus) -> None:
        if status in self.until:
            self.arrived.set()
