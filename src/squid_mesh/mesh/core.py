"""What the calls of a mesh stand on: its parts, and how a run is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from squid_mesh.engine.states import RunStatus
from squid_mesh.errors import InvalidRunId, NotOpen, shown
from squid_mesh.inspection import reading
from squid_mesh.inspection.models import Run
from squid_mesh.inspection.reader import Reader
from squid_mesh.runtime.catalog import Catalog, Plan
from squid_mesh.runtime.deciding import Decider
from squid_mesh.runtime.process import Process
from squid_mesh.runtime.settings import Settings
from squid_mesh.runtime.starter import Starter
from squid_mesh.store.statements import Statements
from squid_mesh.telemetry import Telemetry

type Pool = AsyncConnectionPool[Any]

type Actor = str | Mapping[str, Any]
"""Who decides: a name, or whatever an application knows of a person. Not empty."""


class Core:
    """The parts of one mesh. Its calls are in the classes that extend this one, by what they do."""

    _pool: Pool
    _settings: Settings
    _statements: Statements
    _catalog: Catalog
    _reader: Reader
    _starter: Starter
    _decider: Decider
    _telemetry: Telemetry
    _running: Process | None

    @property
    def _process(self) -> Process:
        if self._running is None:
            raise NotOpen(self._settings.name)
        return self._running

    def _check_open(self) -> None:
        """Raise `NotOpen` before anything is written."""
        self._process  # noqa: B018 (it raises)

    async def _plan_of(self, connection: AsyncConnection[Any], run_id: UUID) -> Plan:
        """The plan that a run is pinned to. Raises `RunNotFound`."""
        row = await self._reader.row(connection, run_id)
        return await self._catalog.plan(row["definition"])

    async def _read(
        self, connection: AsyncConnection[Any], run_id: UUID, *, created: bool = True
    ) -> Run:
        row = await self._reader.row(connection, run_id)
        plan = await self._catalog.plan(row["definition"])
        hidden = reading.secrets(plan.graph.spec)
        return reading.run(row, hidden, plan.secrets(row["payload"], {}), created=created)


def parsed(value: UUID | str) -> UUID:
    """A run's id. Raises `InvalidRunId`."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise InvalidRunId(value) from None


def seconds_of(what: str, time: object) -> float:
    """A time in seconds. Raises `TypeError`."""
    if isinstance(time, timedelta):
        return time.total_seconds()
    raise TypeError(f"{what}={shown(time)}: write timedelta(seconds=30)")


def statuses_of(what: str, given: object) -> frozenset[RunStatus]:
    """One status or several, by text too. Raises `ValueError` or `TypeError`."""
    several: object = [given] if isinstance(given, str) else given
    if not isinstance(several, Collection):
        raise TypeError(f"{what}={shown(given)}: pass one status or several")
    wanted = list(cast("Collection[object]", several))
    if strange := [each for each in wanted if each not in _STATUSES]:
        known = ", ".join(map(str, RunStatus))
        raise ValueError(f"{what} holds {shown(strange[0])}: write one of {known}")
    return frozenset(RunStatus(str(each)) for each in wanted)


_STATUSES: tuple[object, ...] = tuple(map(str, RunStatus))
