"""Fires cron windows: a window is the Oban job of a schedule, and one transaction passes it.

That transaction locks the schedule, starts the runs, moves the schedule on to its next window and
inserts that one's job. So one window is one run, whoever fires it and however often (law 8): who
comes later, or again, or after the clock stepped back, finds the schedule waiting for another one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from squid_mesh.definition.compile import Definition
from squid_mesh.definition.options import Window
from squid_mesh.definition.spec import BackoffSpec, TriggerSpec
from squid_mesh.engine.retry import backoff
from squid_mesh.engine.windows import Due, due_windows, next_window
from squid_mesh.errors import InvalidTrigger
from squid_mesh.runtime.catalog import Catalog
from squid_mesh.runtime.intake import Intake, PutBack
from squid_mesh.runtime.ledger import SideConnection
from squid_mesh.runtime.payloads import MAKING_SECONDS, Payloads
from squid_mesh.runtime.settings import Settings
from squid_mesh.runtime.telling import window_passed
from squid_mesh.runtime.traced import traced
from squid_mesh.store.committer import Lost
from squid_mesh.store.records import FailedWindow, Start
from squid_mesh.store.schedules import Declared, Name, Passing, Scheduled, Timetable
from squid_mesh.store.trouble import passes
from squid_mesh.telemetry import Telemetry

logger = logging.getLogger(__name__)

MOST_TRIES = 5
"""How often a window's payload is tried to be made before its run is recorded as failed."""

BACKOFF = BackoffSpec(min=1.0, max=30.0)
"""Between these tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A delivery: which window of which schedule."""

    workflow: str
    trigger: str
    window: datetime
    job: int | None

    @property
    def name(self) -> Name:
        """Of which schedule."""
        return Name(self.workflow, self.trigger)


@dataclass(frozen=True, slots=True)
class Firing:
    """The runs of windows that are due, begun or failed, and the window that comes next."""

    next: datetime
    starts: list[Start] = field(default_factory=list[Start])
    failed: list[FailedWindow] = field(default_factory=list[FailedWindow])

    @property
    def runs(self) -> list[Start | FailedWindow]:
        """All of them."""
        return [*self.starts, *self.failed]

    @property
    def last(self) -> datetime | None:
        """The latest of these windows."""
        windows = [run.window_at for run in self.runs if run.window_at is not None]
        return max(windows, default=None)


class Scheduler:
    """Keeps the schedules that this process declares, and fires windows that come to it."""

    def __init__(
        self,
        catalog: Catalog,
        timetable: Timetable,
        side: SideConnection,
        payloads: Payloads,
        *,
        settings: Settings,
        intake: Intake,
        started: Callable[[str], None],
        telemetry: Telemetry,
    ) -> None:
        self._catalog = catalog
        self._timetable = timetable
        self._side = side
        self._payloads = payloads
        self._settings = settings
        self._intake = intake
        self._started = started
        self._telemetry = telemetry
        self._declared = {d.name: d for d in _declared(catalog)}

    # keeping

    async def register(self) -> None:
        """Make every declared trigger a schedule with a window and a job.

        One that is known and unchanged is left alone, unless it rests without a job.
        """
        if self._declared:
            await self._side.run(self._register)

    async def _register(self, connection: AsyncConnection[Any]) -> None:
        names = list(self._declared)
        async with connection.transaction():
            await self._timetable.add(connection, list(self._declared.values()))
            for found in await self._timetable.lock(connection, names):
                declared = self._declared[found.name]
                if found.next_window is None or _differs(found, declared):
                    following = next_window(declared.expression, declared.timezone, found.since)
                    await self._timetable.set_window(
                        connection, declared, following, paused=found.paused
                    )
            await self._queue(connection, names)

    async def requeue(self) -> None:
        """Give schedules that are due and have no job a new one."""
        if not self._declared:
            return
        names = list(self._declared)
        count = await self._side.run(lambda conn: self._queue(conn, names, self._settings.overdue))
        if count:
            logger.warning("%d schedules were due without a job and have a new one", count)

    async def pause(self, name: Name) -> None:
        """Fire no more windows of a schedule. Raises `InvalidTrigger`."""

        async def pause(connection: AsyncConnection[Any]) -> None:
            async with connection.transaction():
                await self._locked(connection, name)
                await self._timetable.pause(connection, name)

        await self._side.run(pause)

    async def resume(self, name: Name) -> None:
        """Fire windows again, from the next one on. Raises `InvalidTrigger`."""

        async def resume(connection: AsyncConnection[Any]) -> None:
            async with connection.transaction():
                found = await self._locked(connection, name)
                if not found.paused:
                    return
                following = next_window(found.expression, found.timezone, found.since)
                same = Declared(name=name, expression=found.expression, timezone=found.timezone)
                await self._timetable.set_window(connection, same, following, paused=False)
                await self._queue(connection, [name])

        await self._side.run(resume)

    async def _locked(self, connection: AsyncConnection[Any], name: Name) -> Scheduled:
        for found in await self._timetable.lock(connection, [name]):
            return found
        known = [other.trigger for other in self._declared if other.workflow == name.workflow]
        raise InvalidTrigger(name.workflow, name.trigger, known, kind="cron trigger")

    async def _queue(
        self,
        connection: AsyncConnection[Any],
        names: Sequence[Name],
        overdue: float | None = None,
    ) -> int:
        return await self._timetable.queue(
            connection, names, making=MAKING_SECONDS, overdue=overdue
        )

    # firing

    async def fire(self, tick: Tick) -> PutBack | None:
        """Do what one job asks for. Returns `PutBack` when it is to come again."""
        if self._intake.is_closed:
            return await self._intake.turn_away(tick.job)
        with self._intake.job():
            try:
                return await self._fire(tick)
            except Lost:
                return PutBack(1.0)  # the next delivery finds out what was written
            except Exception as error:
                if passes(error):
                    return PutBack(1.0)
                logger.exception("firing %s of %s failed", tick.trigger, tick.workflow)
                raise

    async def _fire(self, tick: Tick) -> PutBack | None:
        found = await self._side.run(lambda conn: self._timetable.read(conn, tick.name))
        if found is None or found.paused or found.next_window != tick.window:
            return None
        if tick.window > found.now:
            return PutBack((tick.window - found.now).total_seconds())
        if tick.name not in self._declared:
            return await self._leave(tick)
        await self._side.run(lambda conn: self._timetable.claim(conn, tick.name, tick.window))
        definition = self._catalog.definitions[tick.workflow]
        due = _due(found, tick.window, _trigger(definition, tick.trigger))
        firing = await self._made(definition, found, due)
        if firing.failed and found.attempts + 1 < MOST_TRIES:
            return await self._postpone(found, firing.failed[0].error)
        return await self._side.run(lambda conn: self._pass(conn, tick, firing))

    async def _leave(self, tick: Tick) -> PutBack | None:
        """Leave a window to a process that declares its trigger, or let it rest when none lives."""

        async def leave(connection: AsyncConnection[Any]) -> bool:
            if await self._timetable.is_declared(connection, tick.name):
                return True
            await self._timetable.rest(connection, tick.name, tick.window, tick.job)
            return False

        if await self._side.run(leave):
            return PutBack(self._settings.until_handed_over())
        logger.warning("%s of %s rests: no code declares it", tick.trigger, tick.workflow)
        return None

    async def _made(self, definition: Definition, found: Scheduled, due: Due) -> Firing:
        """What starts the windows that are due. Their payloads are made one by one."""
        firing = Firing(due.next)
        for at in due.start:
            window = Window(found.trigger, at)
            made = await self._payloads.start(definition, window, found.attempts + 1)
            match made:
                case Start():
                    firing.starts.append(made)
                case FailedWindow():
                    firing.failed.append(made)
        return firing

    async def _postpone(self, found: Scheduled, error: bytes) -> PutBack:
        """Try again soon."""
        logger.warning("a cron window is tried again: %s", error.decode())
        await self._side.run(lambda conn: self._timetable.postpone(conn, found, error))
        return PutBack(backoff(BACKOFF, found.attempts + 1))

    async def _pass(
        self, connection: AsyncConnection[Any], tick: Tick, firing: Firing
    ) -> PutBack | None:
        """Pass the window, unless somebody else has or does."""
        async with connection.transaction():
            is_due = await self._timetable.lock_window(connection, tick.name, tick.window)
            if not is_due:
                return PutBack(1.0) if is_due is None else None
            firing, begun = await self._begin(connection, firing)
            passing = Passing(
                name=tick.name,
                window=tick.window,
                last=firing.last,
                next=firing.next,
                error=firing.failed[-1].error if firing.failed else None,
            )
            await self._timetable.pass_window(connection, passing)
            await self._queue(connection, [tick.name])
        self._tell(firing, begun)
        return None

    async def _begin(
        self, connection: AsyncConnection[Any], firing: Firing
    ) -> tuple[Firing, set[UUID]]:
        """Insert the runs, each with a trace when somebody traces; which of them are new."""

        async def write(starts: Sequence[Start]) -> tuple[Firing, set[UUID]]:
            begun = await self._timetable.start(connection, starts, firing.failed)
            return replace(firing, starts=list(starts)), begun

        return await traced(self._telemetry, firing.starts, write, created=lambda made: made[1])

    def _tell(self, firing: Firing, begun: set[UUID]) -> None:
        """Tell of the runs that are new."""
        for run in (run for run in firing.runs if run.run_id in begun):
            self._started(run.workflow)
            if self._telemetry.is_heard:
                for event in window_passed(run):
                    self._telemetry.tell(event)


def _declared(catalog: Catalog) -> list[Declared]:
    return [
        Declared(
            name=Name(workflow, trigger.name),
            expression=trigger.expression,
            timezone=trigger.timezone,
        )
        for workflow, definition in catalog.definitions.items()
        for trigger in definition.spec.triggers
        if trigger.expression is not None and trigger.timezone is not None
    ]


def _differs(found: Scheduled, declared: Declared) -> bool:
    return (found.expression, found.timezone) != (declared.expression, declared.timezone)


def _trigger(definition: Definition, name: str) -> TriggerSpec:
    return next(trigger for trigger in definition.spec.triggers if trigger.name == name)


def _due(found: Scheduled, window: datetime, trigger: TriggerSpec) -> Due:
    """What to start, by the expression that the window was made from."""
    return due_windows(
        found.expression,
        found.timezone,
        first=window,
        now=found.now,
        missed=trigger.missed or "latest",
        max_missed=trigger.max_missed or 1,
    )
