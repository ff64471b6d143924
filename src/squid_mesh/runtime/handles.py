"""What a transactional body writes with: a psycopg connection, or a session on one.

A transaction is opened and ended by a context manager: leaving it commits, raising rolls back. Sync
ones are used from threads, where a body can be left behind that doesn't end in time.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, LiteralString, override

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from squid_mesh.definition.actions import Action
from squid_mesh.runtime.threads import Outcome, Threads
from squid_mesh.store.hosts import rows_from, sync_rows_from

logger = logging.getLogger(__name__)


class State(StrEnum):
    """How a body has left its transaction, as far as can be seen without asking the database."""

    OPEN = "open"
    ENDED = "ended"
    ABORTED = "aborted"
    BUSY = "busy"
    UNDONE = "undone"
    CLOSED = "closed"
    LOST = "lost"


_STATES = {
    TransactionStatus.IDLE: State.ENDED,
    TransactionStatus.INTRANS: State.OPEN,
    TransactionStatus.INERROR: State.ABORTED,
    TransactionStatus.ACTIVE: State.BUSY,
    TransactionStatus.UNKNOWN: State.CLOSED,
}


class Watch:
    """What a session knows of itself. A connection knows nothing that its driver doesn't."""

    def state(self) -> State | None:
        """How the body has left it; None for what its driver's connection says."""
        return None


async def _nothing() -> None:
    """A connection has nothing to flush."""


@dataclass(frozen=True, slots=True)
class Opened[Driver: (AsyncConnection[Any], Connection[Any]), Flush]:
    """A handle in an open transaction, and the psycopg connection underneath."""

    handle: Any
    driver: Driver
    flush: Flush
    watch: Watch


type OpenedAsync = Opened[AsyncConnection[Any], Callable[[], Awaitable[None]]]
type OpenedSync = Opened[Connection[Any], Callable[[], None]]


class Transaction(ABC):
    """An open transaction with the handle that a body is given."""

    is_left = False
    """Whether a body that was given up still has it."""

    def __init__(
        self, handle: Any, driver: AsyncConnection[Any] | Connection[Any], watch: Watch
    ) -> None:
        self.handle = handle
        self._driver = driver
        self._watch = watch

    def state(self) -> State:
        """How the body has left it."""
        if self._driver.broken:
            return State.LOST
        return self._watch.state() or _STATES[self._driver.info.transaction_status]

    @abstractmethod
    async def call(self, action: Action, inputs: dict[str, Any]) -> Any:
        """Call a body and send what it has left unsent."""

    @abstractmethod
    async def rows(
        self, statement: LiteralString, parameters: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """Execute one of our statements in it."""


class OnLoop(Transaction):
    """For an `async def`."""

    def __init__(self, opened: OpenedAsync) -> None:
        super().__init__(opened.handle, opened.driver, opened.watch)
        self._opened = opened

    @override
    async def call(self, action: Action, inputs: dict[str, Any]) -> Any:
        value = await action.function(**inputs)
        await self._opened.flush()
        return value

    @override
    async def rows(
        self, statement: LiteralString, parameters: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        return await rows_from(self._opened.driver, statement, parameters)


class InThread(Transaction):
    """For a `def`. A body that is given up while its thread goes on loses its connection.

    So nothing of it can be committed any more, and its locks are free for the next attempt. libpq
    lets nobody close a connection that another thread uses; the socket under it can be shut down.
    """

    def __init__(self, threads: Threads, opened: OpenedSync) -> None:
        super().__init__(opened.handle, opened.driver, opened.watch)
        self._threads = threads
        self._opened = opened
        self._line = socket.fromfd(opened.driver.pgconn.socket, socket.AF_INET, socket.SOCK_STREAM)
        self._last: asyncio.Future[Outcome] | None = None

    @override
    async def call(self, action: Action, inputs: dict[str, Any]) -> Any:
        def body() -> Any:
            value = action.function(**inputs)
            self._opened.flush()
            return value

        return await self._run(body)

    @override
    async def rows(
        self, statement: LiteralString, parameters: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = await self._run(
            partial(sync_rows_from, self._opened.driver, statement, parameters)
        )
        return rows

    async def leave(self, end: Callable[[], Any]) -> None:
        """Have a thread end the transaction; when a body has been left, once that is over."""
        if self._last is not None and not self._last.done():
            self._last.add_done_callback(lambda _: self._threads.begin(end))
            return
        self._line.close()
        (await asyncio.shield(self._threads.begin(end))).unwrap()

    async def _run(self, function: Callable[[], Any]) -> Any:
        self._last = self._threads.begin(function)
        try:
            return (await asyncio.shield(self._last)).unwrap()
        except asyncio.CancelledError:
            if not self._last.done():
                self.is_left = True
                self._cut()
            raise

    def _cut(self) -> None:
        with suppress(OSError):  # it may be gone by itself
            self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()
        self._threads.begin(partial(self._opened.driver.cancel_safe, timeout=5))


def _nothing_sync() -> None:
    """A connection has nothing to flush."""


@asynccontextmanager
async def on_connection(pool: AsyncConnectionPool[Any]) -> AsyncGenerator[Transaction]:
    """A transaction on a connection of a pool."""
    async with pool.connection() as connection:
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            await connection.rollback()  # somebody has left it so
        async with connection.transaction():
            yield OnLoop(Opened(connection, connection, _nothing, Watch()))


@contextmanager
def on_sync_connection(pool: ConnectionPool[Any]) -> Generator[OpenedSync]:
    """A transaction on a connection of a pool for threads."""
    with pool.connection() as connection:
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            connection.rollback()
        with connection.transaction():
            yield Opened(connection, connection, _nothing_sync, Watch())


@asynccontextmanager
async def in_threads(
    threads: Threads, opening: AbstractContextManager[OpenedSync]
) -> AsyncGenerator[Transaction]:
    """A sync transaction, opened and ended in threads as well."""
    entering = threads.begin(opening.__enter__)
    try:
        opened = (await asyncio.shield(entering)).unwrap()
    except asyncio.CancelledError as error:
        entering.add_done_callback(partial(_undo, threads, opening, error))
        raise
    transaction = InThread(threads, opened)
    try:
        yield transaction
    except BaseException as error:
        with suppress(psycopg.Error):  # what the connection says of a rollback changes nothing
            await transaction.leave(partial(_exit, opening, error))
        raise
    await transaction.leave(partial(_exit, opening, None))


def _undo(
    threads: Threads,
    opening: AbstractContextManager[OpenedSync],
    error: BaseException,
    entered: asyncio.Future[Outcome],
) -> None:
    """End a transaction that nobody waits for any more, if it was opened at all."""
    if not entered.cancelled() and entered.result().error is None:
        threads.begin(partial(_exit, opening, error))


def _exit(opening: AbstractContextManager[OpenedSync], error: BaseException | None) -> None:
    """Leave a context; what it was left with isn't raised again."""
    try:
        opening.__exit__(None if error is None else type(error), error, None)
    except BaseException as other:
        if other is not error:
            raise
