"""Deletes what has ended long ago, in small batches: each its own short transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from squid_mesh.engine.states import ENDED, RunStatus
from squid_mesh.store.hosts import cursor_on
from squid_mesh.store.statements import Statements

BATCH = 500
"""Runs, or jobs of each state, that one statement deletes: so few that nobody waits for it."""

_FIRST = (datetime.min.replace(tzinfo=UTC), UUID(int=0))

type Use = Callable[[Callable[[AsyncConnection[Any]], Awaitable[Any]]], Awaitable[Any]]
"""Runs something on a connection, in a transaction of its own."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much was deleted."""

    runs: int
    jobs: int


@dataclass(frozen=True, slots=True)
class Pruner:
    """The pruning statements of one mesh. `worker` is what its jobs are registered under."""

    statements: Statements
    worker: str
    use: Use

    async def prune(self, age: float, statuses: Collection[RunStatus] = ENDED) -> Pruned:
        """Delete runs that ended more than `age` seconds ago with one of `statuses`, and jobs.

        Where it is interrupted, what was deleted stays so, and the next call goes on.
        """
        return Pruned(await self._prune_runs(age, statuses), await self._prune_jobs(age))

    async def _prune_runs(self, age: float, statuses: Collection[RunStatus]) -> int:
        count, after = 0, _FIRST
        outcomes = [str(status) for status in statuses]

        async def batch(connection: AsyncConnection[Any]) -> tuple[int, datetime, UUID] | None:
            async with cursor_on(connection, tuple_row) as cursor:
                await cursor.execute(
                    self.statements["prune_runs"],
                    {
                        "age": age,
                        "outcomes": outcomes,
                        "after": after[0],
                        "after_id": after[1],
                        "most": BATCH,
                    },
                )
                return await cursor.fetchone()

        while (last := await self.use(batch)) is not None:
            deleted, *after = last
            count += deleted
        return count

    async def _prune_jobs(self, age: float) -> int:
        parameters = {"age": age, "worker": self.worker, "most": BATCH}

        async def batch(connection: AsyncConnection[Any]) -> int:
            cursor = await connection.execute(self.statements["prune_jobs"], parameters)
            return cursor.rowcount

        count = 0
        while deleted := await self.use(batch):
            count += deleted
        return count
