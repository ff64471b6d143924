"""Calls that keep a mesh's tables: install, upgrade, prune."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from squid_mesh.dispatch import oban as dispatch
from squid_mesh.engine.states import ENDED, RunStatus
from squid_mesh.mesh.core import Core, seconds_of, statuses_of
from squid_mesh.runtime.pruning import Pruned, Pruner
from squid_mesh.store import migrations


class Keeping(Core):
    """Installing, upgrading and pruning."""

    async def migrate(self) -> list[str]:
        """Install or upgrade the mesh's own tables; the names of the migrations applied.

        Safe to run twice, and from several processes at once. Oban's tables are the host's.
        """
        async with self._pool.connection() as connection:
            return await migrations.migrate(connection, self._statements)

    async def install(self) -> None:
        """Create Oban's tables and the mesh's own where they are missing."""
        async with self._pool.connection() as connection, connection.transaction():
            await dispatch.install(connection, self._statements.oban)
            await migrations.migrate(connection, self._statements)

    async def prune(
        self, *, older_than: timedelta, statuses: Collection[RunStatus] = ENDED
    ) -> Pruned:
        """Delete runs that ended longer ago than that, with all of their history; how many.

        `statuses` may be fewer of `ENDED`. Live runs stay, however old. A replay of a deleted run
        stays too, without its `replayed_from`, and a key is free again. Finished jobs of this mesh
        go after the same time. Works in batches of 500, each a transaction of its own. Raises
        `ValueError` or `TypeError` for a time that isn't positive, or another status.
        """
        age, wanted = seconds_of("older_than", older_than), statuses_of("statuses", statuses)
        if age <= 0:
            raise ValueError(f"older_than={older_than}: say how long ended runs are kept")
        if not wanted <= ENDED:
            live = ", ".join(sorted(wanted - ENDED))
            raise ValueError(f"statuses: runs that are {live} haven't ended, and are never pruned")
        return await self._pruner.prune(age, wanted)

    @property
    def _pruner(self) -> Pruner:
        return Pruner(self._statements, self._settings.queueing.worker, self._use)

    async def _use(self, use: Callable[[AsyncConnection[Any]], Awaitable[Any]]) -> Any:
        async with self._pool.connection() as connection:
            return await use(connection)
