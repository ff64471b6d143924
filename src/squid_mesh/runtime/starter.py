"""Starts runs: in groups with other starts, or in a host's own transaction."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, IsolationLevel
from psycopg.errors import SerializationFailure
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from squid_mesh.errors import KeyConflict
from squid_mesh.runtime.deciding import note
from squid_mesh.runtime.facts import Facts
from squid_mesh.runtime.ledger import Ledger
from squid_mesh.runtime.starting import same_request
from squid_mesh.runtime.telling import created
from squid_mesh.runtime.traced import traced
from squid_mesh.store.hosts import begin, connection_of, cursor_on
from squid_mesh.store.records import Start
from squid_mesh.store.statements import Statements
from squid_mesh.store.writes import Queueing, start_parameters
from squid_mesh.telemetry import Telemetry

type Pool = AsyncConnectionPool[Any]


@dataclass(frozen=True, slots=True)
class Started:
    """A run that was inserted now."""

    start: Start
    inserted_at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """The key was known: this run holds it, started with the same trigger and payload."""

    run_id: UUID


_UNSEEN = (
    "a key of these runs was taken by a transaction that this one can't see: roll back and try "
    "again, or use the isolation level read committed"
)


@asynccontextmanager
async def _read_committed(connection: AsyncConnection[Any]) -> AsyncGenerator[None]:
    """Whatever the pool's connections default to: what is locked is decided on as it is then."""
    usual = connection.isolation_level
    await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
    try:
        yield
    finally:
        if not connection.closed:
            await connection.set_isolation_level(usual)


class Starter:
    """The start statements of one mesh."""

    def __init__(
        self, pool: Pool, statements: Statements, queueing: Queueing, telemetry: Telemetry
    ) -> None:
        self._pool = pool
        self._statements = statements
        self._queueing = queueing
        self._telemetry = telemetry

    async def start(self, start: Start, ledger: Ledger, conn: Any) -> Started | Held:
        """Start one run. Raises `KeyConflict`."""

        async def write(starts: Sequence[Start]) -> list[Started | Held]:
            return [await self._start(starts[0], ledger, conn)]

        (started,) = await traced(self._telemetry, [start], write, created=_new)
        if conn is None:
            self._tell([started])
        return started

    async def _start(self, start: Start, ledger: Ledger, conn: Any) -> Started | Held:
        if conn is None:
            inserted_at = await ledger.start_run(start)
        else:
            async with self.transaction(conn) as connection:
                inserted = await self._insert(connection, [start], untold=True)
            inserted_at = inserted.get(start.run_id)
        if inserted_at is not None:
            return Started(start, inserted_at)
        async with self.connection(conn) as connection:
            return Held(await self._holder(connection, start))

    async def start_all(self, starts: Sequence[Start], conn: Any) -> list[Started | Held]:
        """Start all of these runs or none. Raises `KeyConflict`."""

        async def write(starts: Sequence[Start]) -> list[Started | Held]:
            return await self._start_all(starts, conn)

        results = await traced(self._telemetry, starts, write, created=_new)
        if conn is None:
            self._tell(results)
        return results

    async def _start_all(self, starts: Sequence[Start], conn: Any) -> list[Started | Held]:
        async with self.transaction(conn) as connection:
            inserted = await self._insert(connection, starts, untold=conn is not None)
            return [
                Started(start, inserted[start.run_id])
                if start.run_id in inserted
                else Held(await self._holder(connection, start))
                for start in starts
            ]

    async def replay(self, start: Start, facts: Facts, conn: Any, *, trace: str | None) -> Started:
        """Start a run that replays another, and keep who asked for it, in one transaction.

        `trace` is the other run's.
        """

        async def write(starts: Sequence[Start]) -> Started:
            async with self.transaction(conn) as connection:
                inserted = await self._insert(connection, starts, untold=conn is not None)
                await note(connection, self._statements, start.run_id, "replayed", facts)
            return Started(starts[0], inserted[start.run_id])

        started = await traced(
            self._telemetry, [start], write, created=lambda one: _new([one]), replays=trace
        )
        if conn is None and self._telemetry.is_heard:
            self._telemetry.tell(created(started.start, start.replayed_from))
        return started

    @asynccontextmanager
    async def connection(self, conn: Any) -> AsyncGenerator[AsyncConnection[Any]]:
        """The host's connection, or one of the pool."""
        if conn is not None:
            yield await connection_of(conn)
            return
        async with self._pool.connection() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self, conn: Any) -> AsyncGenerator[AsyncConnection[Any]]:
        """All or nothing: inside the host's transaction, which stays the host's to commit."""
        async with self.connection(conn) as connection:
            if conn is not None:
                await begin(connection)
                async with connection.transaction():
                    yield connection
                return
            async with _read_committed(connection), connection.transaction():
                yield connection

    async def _insert(
        self, connection: AsyncConnection[Any], starts: Sequence[Start], *, untold: bool
    ) -> dict[UUID, datetime]:
        parameters = start_parameters(starts, self._statements, self._queueing, untold=untold)
        async with cursor_on(connection, tuple_row) as cursor:
            try:
                await cursor.execute(self._statements["start_runs"], parameters)
            except SerializationFailure as error:
                error.add_note(_UNSEEN)
                raise
            return dict(await cursor.fetchall())

    async def _holder(self, connection: AsyncConnection[Any], start: Start) -> UUID:
        """The run that holds a start's key. Raises `KeyConflict` for another piece of work.

        Raises `SerializationFailure` when that run has been deleted since the key was met.
        """
        async with cursor_on(connection, tuple_row) as cursor:
            await cursor.execute(
                self._statements["find_by_key"], {"workflow": start.workflow, "key": start.key}
            )
            row = await cursor.fetchone()
        if row is None:
            raise SerializationFailure(
                f"the run that held key {start.key!r} was deleted meanwhile: start it again"
            )
        run_id, trigger, payload = row
        if not same_request(start, trigger, payload):
            raise KeyConflict(run_id, start.key or "")
        return UUID(str(run_id))

    def _tell(self, results: Sequence[Started | Held]) -> None:
        if not self._telemetry.is_heard:
            return
        for start in (one.start for one in results if isinstance(one, Started)):
            self._telemetry.tell(created(start))


def _new(results: Sequence[Started | Held]) -> set[UUID]:
    """The runs that were inserted now."""
    return {one.start.run_id for one in results if isinstance(one, Started)}
