"""Reads runs through a connection of the pool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from squid_mesh.errors import RunNotFound
from squid_mesh.inspection import reading
from squid_mesh.inspection.code import Code
from squid_mesh.inspection.history import History
from squid_mesh.inspection.listing import Filters, Place, Tag
from squid_mesh.inspection.models import RunPage, Schedule
from squid_mesh.inspection.situation import Limits, Situation
from squid_mesh.inspection.survey import Survey
from squid_mesh.store.hosts import cursor_on
from squid_mesh.store.statements import Statements


class Reader:
    """The read statements, as models."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def row(self, connection: AsyncConnection[Any], run_id: UUID) -> Mapping[str, Any]:
        """One run's row. Raises `RunNotFound`."""
        rows = await self._rows(connection, "get_run", {"run": run_id})
        if not rows:
            raise RunNotFound(run_id)
        return rows[0]

    async def history(
        self,
        connection: AsyncConnection[Any],
        row: Mapping[str, Any],
        code: Code,
    ) -> History:
        """What a run has stored beside its row."""
        run = {"run": row["id"]}
        return History(
            code,
            row,
            steps=await self._rows(connection, "get_steps", run),
            attempts=await self._rows(connection, "get_attempts", run),
            events=await self._rows(connection, "get_audit_events", run),
        )

    async def page(self, connection: AsyncConnection[Any], filters: Filters) -> RunPage:
        """Runs, newest first."""
        query, parameters = await self._listing(connection, filters)
        async with cursor_on(connection, dict_row) as cursor:
            # Planned with its parameters, never prepared: filters that aren't given vanish.
            await cursor.execute(query, parameters, prepare=False)
            rows = await cursor.fetchall()
        runs = tuple(map(reading.run, rows[: filters.limit]))
        if len(rows) <= filters.limit:
            return RunPage(runs, None)
        return RunPage(runs, Place(runs[-1].inserted_at, runs[-1].id).cursor)

    async def _listing(
        self, connection: AsyncConnection[Any], filters: Filters
    ) -> tuple[LiteralString, dict[str, Any]]:
        """The statement of a page, made of the one that finds it and the one that shows it."""
        rarest = await self._rarest_tag(connection, filters)
        found, shown = self._statements[filters.source(rarest)], self._statements["list_runs"]
        parameters = filters.parameters(rarest, await self._shift(connection))
        return f"with page as (\n{found}\n)\n{shown}", parameters

    async def _shift(self, connection: AsyncConnection[Any]) -> timedelta:
        (row,) = await self._rows(connection, "read_shift", {})
        shift: timedelta = row["shift"]
        return shift

    async def _rarest_tag(self, connection: AsyncConnection[Any], filters: Filters) -> Tag | None:
        if not filters.tags:
            return None
        async with cursor_on(connection, class_row(Tag)) as cursor:
            await cursor.execute(self._statements["find_rarest_tag"], {"tags": filters.tags_json})
            return await cursor.fetchone()

    async def situation(
        self,
        connection: AsyncConnection[Any],
        run_id: UUID,
        code_of: Callable[[str], Awaitable[Code]],
        limits: Limits,
    ) -> Situation:
        """Everything that decides where a run is. Raises `RunNotFound`."""

        def rows(name: str, asked: Mapping[str, Any]) -> Awaitable[list[dict[str, Any]]]:
            return self._rows(connection, name, asked)

        return await Survey(rows, code_of, limits).of(run_id)

    async def schedules(
        self, connection: AsyncConnection[Any], workflow: str | None = None
    ) -> list[Schedule]:
        """Every schedule, or those of one workflow."""
        rows = await self._rows(connection, "list_schedules", {"workflow": workflow})
        return [reading.schedule(row) for row in rows]

    async def _rows(
        self, connection: AsyncConnection[Any], name: str, parameters: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        async with cursor_on(connection, dict_row) as cursor:
            await cursor.execute(self._statements[name], parameters)
            return await cursor.fetchall()
