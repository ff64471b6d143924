"""The statements about cron schedules, as functions. Each runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from squid_mesh.store.records import FailedWindow, Start
from squid_mesh.store.statements import Statements
from squid_mesh.store.writes import CONTINUATION, Queueing, start_parameters


class Name(NamedTuple):
    """Which schedule."""

    workflow: str
    trigger: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A cron trigger as code declares it."""

    name: Name
    expression: str
    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A schedule as it is at the moment `now`, by the schema's clock."""

    workflow: str
    trigger: str
    expression: str
    timezone: str
    last_window: datetime | None
    next_window: datetime | None
    paused: bool
    attempts: int
    now: datetime

    @property
    def name(self) -> Name:
        """Which one it is."""
        return Name(self.workflow, self.trigger)

    @property
    def since(self) -> datetime:
        """After when its next window is, also when the clock stepped back."""
        return self.now if self.last_window is None else max(self.now, self.last_window)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """What becomes of a window: the one that was started last with it, and the next one."""

    name: Name
    window: datetime
    last: datetime | None
    next: datetime
    error: bytes | None


@dataclass(frozen=True)
class Timetable:
    """Reads and writes schedules, for one boot. After `silence` seconds a process is dead."""

    statements: Statements
    queueing: Queueing
    silence: float
    boot: int

    async def add(self, connection: AsyncConnection[Any], declared: Sequence[Declared]) -> None:
        """Insert those that nobody declared before."""
        rows = [
            {**d.name._asdict(), "expression": d.expression, "timezone": d.timezone}
            for d in declared
        ]
        await self._execute(connection, "add_schedules", {"schedules": _json(rows)})

    async def lock(
        self, connection: AsyncConnection[Any], names: Sequence[Name]
    ) -> list[Scheduled]:
        """Lock schedules, in order, and read them."""
        async with connection.cursor(row_factory=class_row(Scheduled)) as cursor:
            await cursor.execute(self.statements["lock_schedules"], {"schedules": _names(names)})
            return await cursor.fetchall()

    async def read(self, connection: AsyncConnection[Any], name: Name) -> Scheduled | None:
        """One schedule, unlocked."""
        async with connection.cursor(row_factory=class_row(Scheduled)) as cursor:
            await cursor.execute(self.statements["read_schedule"], name._asdict())
            return await cursor.fetchone()

    async def lock_window(
        self, connection: AsyncConnection[Any], name: Name, window: datetime
    ) -> bool | None:
        """Whether the locked schedule still waits for a window; None when somebody holds it."""
        parameters = name._asdict() | {"window": window}
        is_due: bool | None = await self._scalar(connection, "lock_window", parameters)
        return is_due

    async def claim(self, connection: AsyncConnection[Any], name: Name, window: datetime) -> None:
        """Say that this boot makes a window's payload."""
        parameters = name._asdict() | {"window": window, "boot": self.boot}
        await self._execute(connection, "claim_window", parameters)

    async def start(
        self,
        connection: AsyncConnection[Any],
        starts: Sequence[Start],
        failed: Sequence[FailedWindow],
    ) -> set[UUID]:
        """Insert the runs of windows, those that have failed too; which were new."""
        begun = start_parameters(starts, self.statements, self.queueing, untold=False)
        ended = _json([_failed(window) for window in failed])
        cursor = await connection.execute(self.statements["start_runs"], begun)
        inserted: set[UUID] = {row[0] for row in await cursor.fetchall()}
        cursor = await connection.execute(
            self.statements["record_failed_windows"], {"windows": ended}
        )
        return inserted | {row[0] for row in await cursor.fetchall()}

    async def pass_window(self, connection: AsyncConnection[Any], passing: Passing) -> None:
        """A window is over."""
        await self._execute(
            connection,
            "pass_window",
            {
                **passing.name._asdict(),
                "window": passing.window,
                "last": passing.last,
                "next": passing.next,
                "error": _text(passing.error),
            },
        )

    async def set_window(
        self,
        connection: AsyncConnection[Any],
        declared: Declared,
        next_window: datetime,
        *,
        paused: bool,
    ) -> None:
        """Wait for another window."""
        await self._execute(
            connection,
            "set_window",
            {
                **declared.name._asdict(),
                "expression": declared.expression,
                "timezone": declared.timezone,
                "next": next_window,
                "paused": paused,
            },
        )

    async def queue(
        self,
        connection: AsyncConnection[Any],
        names: Sequence[Name],
        *,
        making: float,
        overdue: float | None = None,
    ) -> int:
        """Give schedules a job where they have none; how many.

        One whose job has executed for longer than `making` seconds has none, or for longer than the
        lease when no living process says that it makes its payload.
        """
        cursor = await connection.execute(
            self.statements["queue_schedules"],
            {
                "schedules": _names(names),
                "overdue": overdue,
                "making": making + self.silence,
                "silence": self.silence,
                "queue": self.queueing.queue,
                "worker": self.queueing.worker,
                "priority": CONTINUATION,
            },
        )
        return len(await cursor.fetchall())

    async def postpone(
        self, connection: AsyncConnection[Any], schedule: Scheduled, error: bytes
    ) -> None:
        """Count a failed try at a window's payload."""
        await self._execute(
            connection,
            "postpone_window",
            {
                **schedule.name._asdict(),
                "window": schedule.next_window,
                "attempts": schedule.attempts,
                "error": _text(error),
            },
        )

    async def pause(self, connection: AsyncConnection[Any], name: Name) -> None:
        """Stop firing."""
        await self._execute(connection, "pause_schedule", name._asdict())

    async def is_declared(self, connection: AsyncConnection[Any], name: Name) -> bool:
        """Whether a living process declares the trigger."""
        parameters = name._asdict() | {"silence": self.silence}
        return bool(await self._scalar(connection, "find_declaring_schedule", parameters))

    async def rest(
        self, connection: AsyncConnection[Any], name: Name, window: datetime, job: int | None
    ) -> None:
        """Have no job until a process declares the trigger."""
        parameters = name._asdict() | {"window": window, "job": job}
        await self._execute(connection, "rest_schedule", parameters)

    async def _execute(
        self, connection: AsyncConnection[Any], statement: str, parameters: dict[str, Any]
    ) -> None:
        await connection.execute(self.statements[statement], parameters)

    async def _scalar(
        self, connection: AsyncConnection[Any], statement: str, parameters: dict[str, Any]
    ) -> Any:
        async with connection.cursor(row_factory=scalar_row) as cursor:
            await cursor.execute(self.statements[statement], parameters)
            return await cursor.fetchone()


def _names(names: Sequence[Name]) -> str:
    return _json([name._asdict() for name in names])


def _failed(window: FailedWindow) -> dict[str, Any]:
    return {
        "id": window.run_id,
        "workflow": window.workflow,
        "definition": window.definition,
        "trigger": window.trigger,
        "window_at": window.window_at,
        "error": orjson.Fragment(window.error),
    }


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
