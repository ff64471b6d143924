"""Group commit: what gathers during one flush is written by the next, in one statement.

Under light load a group is one record and waits for nothing; under heavy load hundreds share a
round trip and a commit. A caller goes on only when its own record is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection

logger = logging.getLogger(__name__)

type Connect = Callable[[], Awaitable[AsyncConnection[Any]]]
type Write[Record, Outcome] = Callable[
    [AsyncConnection[Any], list[Record]], Awaitable[list[Outcome | Busy]]
]


class Busy:
    """In place of an outcome: somebody else holds the record's run; it goes round again."""


BUSY = Busy()


class Refused(Exception):
    """The database refused this one record for what it holds."""


class Lost(Exception):
    """The connection broke in the middle of a flush: whether the record was written is unknown."""


@dataclass(slots=True, eq=False)
class _Entry[Record, Outcome]:
    record: Record
    future: asyncio.Future[Outcome]
    rounds: int = 0

    def succeed(self, outcome: Outcome) -> None:
        if not self.future.done():
            self.future.set_result(outcome)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def pause(self) -> float:
        """Seconds until a held run is tried again: 1 ms, doubling, 64 ms at most."""
        self.rounds += 1
        return 0.001 * 2.0 ** min(self.rounds - 1, 6)


class Committer[Record, Outcome]:
    """One connection, one flush at a time.

    A flush holds at most one record for each `target`: two records for one row would meet in one
    snapshot. A group that is refused for what it holds is halved until the bad record stands alone
    (law 9); a group that met trouble of the database's own is tried again whole.
    """

    def __init__(
        self,
        connect: Connect,
        write: Write[Record, Outcome],
        *,
        target: Callable[[Record], Hashable],
        size: int = 500,
    ) -> None:
        self._connect = connect
        self._write = write
        self._target = target
        self._size = size
        self._queue: deque[_Entry[Record, Outcome]] = deque()
        self._wake = asyncio.Event()
        self._connection: AsyncConnection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self.flushes = 0
        self.records = 0

    async def start(self) -> None:
        """Connect, and begin to flush."""
        self._connection = await self._connect()
        self._task = asyncio.create_task(self._run(), name="squid-mesh-committer")

    async def stop(self) -> None:
        """End at once; whoever still waits is told that the outcome is unknown."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for entry in self._queue:
            entry.fail(Lost("the mesh has stopped"))
        if self._connection is not None:
            await self._connection.close()

    async def submit(self, record: Record) -> Outcome:
        """Have a record written; its outcome, once it is durable. Raises `Refused` or `Lost`."""
        entry = _Entry[Record, Outcome](record, asyncio.get_running_loop().create_future())
        self._put(entry)
        return await entry.future

    def _put(self, entry: _Entry[Record, Outcome]) -> None:
        self._queue.append(entry)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            batch = self._take()
            try:
                await self._flush(batch)
            except asyncio.CancelledError:
                self._abandon(batch, Lost("the mesh has stopped"))
                raise
            except psycopg.OperationalError as error:
                await self._survive(batch, error)
            except Exception as error:
                logger.exception("a flush of %d records failed", len(batch))
                self._abandon(batch, error)

    def _take(self) -> list[_Entry[Record, Outcome]]:
        batch: list[_Entry[Record, Outcome]] = []
        later: list[_Entry[Record, Outcome]] = []
        targets: set[Hashable] = set()
        while self._queue and len(batch) < self._size:
            entry = self._queue.popleft()
            target = self._target(entry.record)
            (later if target in targets else batch).append(entry)
            targets.add(target)
        self._queue.extendleft(reversed(later))
        if not self._queue:
            self._wake.clear()
        return batch

    async def _flush(self, batch: list[_Entry[Record, Outcome]]) -> None:
        assert self._connection is not None
        try:
            outcomes = await self._write(self._connection, [entry.record for entry in batch])
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            await self._blame(batch, error)
            return
        self.flushes += 1
        self.records += len(batch)
        for entry, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Busy):
                asyncio.get_running_loop().call_later(entry.pause(), self._put, entry)
            else:
                entry.succeed(outcome)

    async def _blame(self, batch: list[_Entry[Record, Outcome]], error: Exception) -> None:
        """Halve a refused group until the record that is to blame stands alone."""
        if len(batch) == 1:
            batch[0].fail(Refused(str(error)))
            return
        half = len(batch) // 2
        await self._flush(batch[:half])
        await self._flush(batch[half:])

    async def _survive(self, batch: list[_Entry[Record, Outcome]], error: Exception) -> None:
        """Trouble of the database's own: try the group again, or let go of it and reconnect."""
        assert self._connection is not None
        if not self._connection.closed:
            logger.warning("a flush met %s, it is tried again", type(error).__name__)
            for entry in batch:
                asyncio.get_running_loop().call_later(entry.pause(), self._put, entry)
            return
        self._abandon(batch, Lost(str(error)))
        await self._reconnect(error)

    async def _reconnect(self, error: Exception) -> None:
        logger.warning("the connection of a committer is gone (%s), it reconnects", error)
        delay = 0.05
        while True:
            try:
                self._connection = await self._connect()
            except psycopg.OperationalError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)
            else:
                return

    @staticmethod
    def _abandon(batch: list[_Entry[Record, Outcome]], error: Exception) -> None:
        for entry in batch:
            entry.fail(error)
