"""Where examples are played: a loop, a database, and the same examples every time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from hypothesis import HealthCheck, settings
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

CI = settings(
    max_examples=120,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
"""Always the same examples. For others: another seed, and more of them."""


class Theatre:
    """A loop, a pool and a connection to look with, for all examples of a test."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._runner = asyncio.Runner()
        self._open = AsyncExitStack()
        self.pool, self.admin = self.run(self._connect())

    def run[T](self, playing: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(playing)

    async def _connect(self) -> tuple[AsyncConnectionPool[Any], AsyncConnection[Any]]:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            self._dsn, min_size=2, max_size=4, open=False
        )
        admin = await AsyncConnection.connect(self._dsn, autocommit=True, prepare_threshold=1)
        await self._open.enter_async_context(pool)
        await self._open.enter_async_context(admin)
        return pool, admin

    def close(self) -> None:
        self.run(self._open.aclose())
        self._runner.close()
