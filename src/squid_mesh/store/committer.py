"""Group commit: what gathers during one flush is written by the next, in one statement.

Under light load a group is one record and waits for nothing; under heavy load a hundred share a
round trip and a commit. A caller goes on only when its own record is durable.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection

from squid_mesh.store.trouble import Trouble, passes, told

logger = logging.getLogger(__name__)

type Connect = Callable[[], Awaitable[AsyncConnection[Any]]]
type Write[Record, Outcome] = Callable[
    [AsyncConnection[Any], list[Record]], Awaitable[list[Outcome | Busy]]
]
type Confirm[Record, Outcome] = Callable[
    [AsyncConnection[Any], Record, Outcome], Awaitable[Outcome]
]
"""The outcome of a record that was written again, as an answer was lost: was it applied before?"""

type Heard = Callable[[int, float], None]
"""Hears of each flush that was written: how many records, in how many seconds."""

BLAMES_A_RECORD = frozenset({"22", "23", "54"})
"""SQLSTATE classes that say that some record can't be written: data, constraints, limits."""

PAUSE_SECONDS = 0.005, 1.0
"""How long a committer in trouble waits before it tries again: at first, and at most."""

_WOULD_WAIT = "55P03"
"""Lock not available, on a connection with a lock timeout."""


class Busy:
    """In place of an outcome: somebody else holds the record's run; it goes round again."""


BUSY = Busy()


class Refused(Exception):
    """The database refused this one record for what it holds."""


class Lost(Exception):
    """The mesh stopped before the record's outcome was known."""


@dataclass(slots=True, eq=False)
class _Entry[Record, Outcome]:
    record: Record
    future: asyncio.Future[Outcome]
    rounds: int = 0
    doubtful: bool = False
    """Whether an earlier flush of it may have been applied without an answer (law 14)."""

    def succeed(self, outcome: Outcome) -> None:
        if not self.future.done():
            self.future.set_result(outcome)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def pause(self) -> float:
        """Seconds until it is tried again: 1 ms, doubling, a quarter of a second at most."""
        self.rounds += 1
        return 0.001 * 2.0 ** min(self.rounds - 1, 8)


class Committer[Record, Outcome]:
    """One connection, one flush at a time.

    A flush holds at most one record for each `target`, which is the record itself unless it is said
    otherwise: two records for one row would meet in one snapshot. Runs that somebody else holds are
    skipped and tried again, so one of them delays only itself (law 9). A group that is refused for
    what it holds is halved until the record that is to blame stands alone. One that met trouble
    which passes is tried again, after a pause and in groups half as large: should one record be the
    trouble (too large for the server's memory or its patience), it ends up alone and the others get
    past it. A record whose answer was lost is written again, which changes nothing if it had been
    applied, and `confirm`ed. With `drops` a record that nobody waits for any more isn't written.
    """

    def __init__(
        self,
        connect: Connect,
        write: Write[Record, Outcome],
        *,
        target: Callable[[Record], Hashable] = lambda record: record,
        confirm: Confirm[Record, Outcome] | None = None,
        drops: bool = False,
        size: int = 100,
        heard: Heard | None = None,
        name: str = "flushes",
        trouble: Trouble | None = None,
    ) -> None:
        self._connect = connect
        self._write = write
        self._target = target
        self._confirm = confirm
        self._drops = drops
        self._size = size
        self._heard = heard
        self._queue: deque[_Entry[Record, Outcome]] = deque()
        self._wake = asyncio.Event()
        self._connection: AsyncConnection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._name = name
        self._trouble = trouble or Trouble()
        self._room = size
        self._pause = PAUSE_SECONDS[0]
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
        self._abandon(self._queue, Lost("the mesh has stopped"))
        if self._connection is not None:
            await self._connection.close()

    async def submit(self, record: Record) -> Outcome:
        """Have a record written; its outcome, once it is durable. Raises `Refused` or `Lost`."""
        if self._task is None or self._task.done():
            raise Lost("the mesh has stopped")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        entry = _Entry(record, future)
        self._put(entry)
        return await entry.future

    def _put(self, entry: _Entry[Record, Outcome]) -> None:
        if self._task is None or self._task.done():
            entry.fail(Lost("the mesh has stopped"))
            return
        self._queue.append(entry)
        self._wake.set()

    def _put_later(self, entry: _Entry[Record, Outcome]) -> None:
        if not entry.future.done():
            asyncio.get_running_loop().call_later(entry.pause(), self._put, entry)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            batch = self._take()
            if not batch:
                continue
            try:
                await self._flush(batch)
            except asyncio.CancelledError:
                self._abandon(batch, Lost("the mesh has stopped"))
                raise
            except psycopg.Error as error:
                await self._survive(batch, error)
            except Exception as error:
                logger.exception("a flush of %d records failed", len(batch))
                self._abandon(batch, error)
            else:
                self._recover()

    def _take(self) -> list[_Entry[Record, Outcome]]:
        batch: list[_Entry[Record, Outcome]] = []
        later: list[_Entry[Record, Outcome]] = []
        targets: set[Hashable] = set()
        while self._queue and len(batch) < self._room:
            entry = self._queue.popleft()
            if self._drops and entry.future.done():
                continue
            target = self._target(entry.record)
            (later if target in targets else batch).append(entry)
            targets.add(target)
        self._queue.extendleft(reversed(later))
        if not self._queue:
            self._wake.clear()
        return batch

    async def _flush(self, batch: list[_Entry[Record, Outcome]]) -> None:
        assert self._connection is not None
        began = 0.0 if self._heard is None else time.monotonic()
        try:
            outcomes = await self._write(self._connection, [entry.record for entry in batch])
        except psycopg.Error as error:
            if error.sqlstate == _WOULD_WAIT:
                await self._part(batch)
                return
            if not _blames_a_record(error):
                raise
            await self._blame(batch, error)
            return
        self.flushes += 1
        self.records += len(batch)
        if self._heard is not None:
            self._heard(len(batch), time.monotonic() - began)
        for entry, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Busy):
                self._put_later(entry)
            elif entry.doubtful and self._confirm is not None:
                entry.succeed(await self._confirm(self._connection, entry.record, outcome))
            else:
                entry.succeed(outcome)

    async def _part(self, batch: list[_Entry[Record, Outcome]]) -> None:
        """Halve a group until the record that would have to wait for somebody stands alone."""
        if len(batch) == 1:
            self._put_later(batch[0])
            return
        half = len(batch) // 2
        await self._flush(batch[:half])
        await self._flush(batch[half:])

    async def _blame(self, batch: list[_Entry[Record, Outcome]], error: psycopg.Error) -> None:
        """Halve a refused group until the record that is to blame stands alone."""
        if len(batch) == 1:
            batch[0].fail(Refused(told(error)))
            return
        half = len(batch) // 2
        await self._flush(batch[:half])
        await self._flush(batch[half:])

    async def _survive(self, batch: list[_Entry[Record, Outcome]], error: psycopg.Error) -> None:
        assert self._connection is not None
        is_lost = self._connection.closed
        if not is_lost and not passes(error):
            logger.error("a flush of %d records failed: %s", len(batch), told(error))
            self._abandon(batch, error)
            return
        self._trouble.met(self._name, error)
        for entry in batch:
            entry.doubtful = entry.doubtful or is_lost
            if not entry.future.done():
                self._put(entry)
        self._room = max(1, len(batch) // 2)
        await self._rest()
        if is_lost:
            await self._reconnect()

    async def _reconnect(self) -> None:
        while True:
            try:
                self._connection = await self._connect()
            except Exception as error:  # noqa: BLE001 (told; whatever it is, everything waits here)
                self._trouble.met(self._name, error)
                await self._rest()
            else:
                return

    async def _rest(self) -> None:
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, PAUSE_SECONDS[1])

    def _recover(self) -> None:
        self._trouble.over(self._name)
        self._room = min(2 * self._room, self._size)
        self._pause = PAUSE_SECONDS[0]

    @staticmethod
    def _abandon(entries: Iterable[_Entry[Record, Outcome]], error: Exception) -> None:
        for entry in entries:
            entry.fail(error)


def _blames_a_record(error: psycopg.Error) -> bool:
    """Whether the server says so, or psycopg itself, which sees some bad data before the server."""
    refused_here = isinstance(error, psycopg.DataError) and error.sqlstate is None
    return refused_here or _class(error) in BLAMES_A_RECORD


def _class(error: psycopg.Error) -> str:
    return (error.sqlstate or "")[:2]
