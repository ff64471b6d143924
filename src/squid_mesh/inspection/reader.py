"""Reads runs through a connection of the pool."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from squid_mesh.definition.spec import WorkflowSpec
from squid_mesh.definition.values import Codec
from squid_mesh.engine.states import RunStatus
from squid_mesh.errors import RunNotFound
from squid_mesh.inspection import reading
from squid_mesh.inspection.models import Run, RunDetails, RunPage, Schedule
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

    async def details(
        self,
        connection: AsyncConnection[Any],
        row: Mapping[str, Any],
        spec: WorkflowSpec,
        codecs: Mapping[str, Codec],
    ) -> RunDetails:
        """A run with its history."""
        run = {"run": row["id"]}
        return reading.details(
            row,
            spec,
            await self._rows(connection, "get_steps", run),
            await self._rows(connection, "get_attempts", run),
            await self._rows(connection, "get_audit_events", run),
            codecs,
        )

    async def page(
        self,
        connection: AsyncConnection[Any],
        *,
        workflow: str | None,
        statuses: Collection[RunStatus] | None,
        trigger: str | None,
        limit: int,
        cursor: str | None,
    ) -> RunPage:
        """Runs, newest first. Raises `ValueError` for a cursor that no page gave."""
        before, before_id = (None, None) if cursor is None else decode_cursor(cursor)
        rows = await self._rows(
            connection,
            "list_runs",
            {
                "workflow": workflow,
                "statuses": None if statuses is None else [str(status) for status in statuses],
                "trigger": trigger,
                "before": before,
                "before_id": before_id,
                "limit": limit + 1,
            },
        )
        runs = tuple(reading.run(row) for row in rows[:limit])
        return RunPage(runs, encode_cursor(runs[-1]) if len(rows) > limit else None)

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


def encode_cursor(run: Run) -> str:
    """A page's end, as opaque text."""
    return base64.urlsafe_b64encode(orjson.dumps([run.inserted_at, run.id])).decode()


def decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    """The page's end. Raises `ValueError` for text that is none."""
    try:
        inserted_at, run_id = orjson.loads(base64.urlsafe_b64decode(cursor))
        return datetime.fromisoformat(inserted_at), UUID(run_id)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{cursor!r} is no cursor: pass next_cursor of a page") from error
