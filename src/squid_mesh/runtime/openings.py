"""Where transactions come from: the mesh's pool, and what the host gave it beside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any, cast

from psycopg_pool import AsyncConnectionPool, ConnectionPool

from squid_mesh.definition.spec import Injected
from squid_mesh.runtime.handles import (
    OpenedSync,
    Transaction,
    in_threads,
    on_connection,
    on_sync_connection,
)
from squid_mesh.runtime.surroundings import Resources
from squid_mesh.runtime.threads import Threads

type Opening = Callable[[], AbstractAsyncContextManager[Transaction]]
"""Opens a transaction: leaving it commits, raising rolls it back."""

_SYNC_POOL = "psycopg_pool.pool:ConnectionPool"
_ASYNC_MAKER = "sqlalchemy.ext.asyncio.session:async_sessionmaker"
_SYNC_MAKER = "sqlalchemy.orm.session:sessionmaker"

LEFT_TO_OTHERS = 2
"""Connections of the mesh's pool that bodies never take: Oban and callers go on beside them."""

MOST_SYNC_CONNECTIONS = 100
"""Of a pool of our own. How many are used at once is limited by places; more are bodies' that are
given up, for as long as their threads go on."""


class Openings:
    """The transactions of one process. At most so many at once are open on the mesh's pool."""

    def __init__(
        self, pool: AsyncConnectionPool[Any], resources: Resources, threads: Threads
    ) -> None:
        self._pool = pool
        self._resources = resources
        self._threads = threads
        self._own: ConnectionPool[Any] | None = None
        places = max(1, (pool.max_size or MOST_SYNC_CONNECTIONS) - LEFT_TO_OTHERS)
        self._places = asyncio.Semaphore(places)
        self._sync_places = asyncio.Semaphore(places)

    def of(self, wire: Injected, *, is_async: bool) -> Opening:
        """What opens the transaction of a wire. Raises `LookupError` for what isn't there."""
        match wire.origin, is_async:
            case "connection", True:
                return partial(_placed, self._places, partial(on_connection, self._pool))
            case "connection", False:
                opening = partial(self._threaded, lambda: on_sync_connection(self._sync_pool))
                return partial(_placed, self._sync_places, opening)
            case _, True:
                return self._session()
            case _, False:
                return self._sync_session()

    async def close(self) -> None:
        """Let go of the connections of our own; of those that threads still use, once they end."""
        if self._own is not None:
            await self._threads.run(self._own.close)

    def _threaded(
        self, opening: Callable[[], AbstractContextManager[OpenedSync]]
    ) -> AbstractAsyncContextManager[Transaction]:
        return in_threads(self._threads, opening())

    def _session(self) -> Opening:
        from squid_mesh.runtime.sessions import on_session  # noqa: PLC0415 (an optional extra)

        return partial(on_session, self._maker(_ASYNC_MAKER, "an async_sessionmaker"))

    def _sync_session(self) -> Opening:
        from squid_mesh.runtime.sessions import on_sync_session  # noqa: PLC0415 (an optional extra)

        maker = self._maker(_SYNC_MAKER, "a sessionmaker")
        return partial(self._threaded, lambda: on_sync_session(maker))

    def _maker(self, kind: str, what: str) -> Any:
        if kind in self._resources:
            return self._resources[kind]
        raise LookupError(f"this mesh makes no such sessions: pass {what} in resources=[…]")

    @property
    def _sync_pool(self) -> ConnectionPool[Any]:
        """The host's, or one that connects as the mesh's pool does."""
        if _SYNC_POOL in self._resources:
            return cast("ConnectionPool[Any]", self._resources[_SYNC_POOL])
        if self._own is None:
            self._own = _like(self._pool)
        return self._own


def _like(pool: AsyncConnectionPool[Any]) -> ConnectionPool[Any]:
    conninfo: Any = pool.conninfo
    options: Any = pool.kwargs or {}
    if callable(conninfo) or callable(options):
        raise LookupError(  # noqa: TRY004 (a pool may do so, it just can't be copied)
            "this mesh's pool makes up its conninfo as it goes: for sync steps with a connection() "
            "pass a psycopg_pool.ConnectionPool in resources=[…]"
        )
    return ConnectionPool(
        conninfo,
        kwargs={key: value for key, value in options.items() if key != "cursor_factory"},
        min_size=0,
        max_size=MOST_SYNC_CONNECTIONS,
        open=True,
        name="squid_mesh sync steps",
    )


@asynccontextmanager
async def _placed(places: asyncio.Semaphore, opening: Opening) -> AsyncGenerator[Transaction]:
    async with places, opening() as transaction:
        yield transaction
