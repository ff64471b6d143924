"""Cron windows: the instants at which an expression fires in a time zone. No clock is read here.

`cronsim` says which times of the wall clock match, day of month or day of week as POSIX has it;
what becomes of them when the clocks change is decided here, as Debian's cron has it:

* An expression of fixed times (neither minute nor hour begins with `*`) fires once for each: a time
  that the clocks skip fires when they go on, a time that comes twice fires at its first.
* Any other expression fires whenever the wall clock shows a time that matches.

(`cronsim` knows zones too, but with the half-hour shifts of Lord Howe it loses windows, and in the
second pass of an overlap its next window is one that has passed.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim

type Missed = Literal["skip", "latest", "all"]

ON_TIME = timedelta(minutes=1)
"""A window that fires so late wasn't missed: a queue was busy, or a process was just replaced."""

_INSTANT = timedelta(microseconds=1)
_MINUTE = timedelta(minutes=1)
_FIRST_LOOK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done now: the windows to be started, oldest first, and the one to wait for."""

    start: tuple[datetime, ...]
    next: datetime


def next_window(expression: str, timezone: str, after: datetime) -> datetime:
    """The first window later than `after`, in the zone."""
    zone = ZoneInfo(timezone)
    return next(_instants(expression, zone, after)).astimezone(zone)


def due_windows(
    expression: str,
    timezone: str,
    *,
    first: datetime,
    now: datetime,
    missed: Missed,
    max_missed: int,
) -> Due:
    """Which windows from `first` to `now` are to be started, and which is next.

    `skip` starts the latest unless it was missed, `latest` the latest, `all` the latest
    `max_missed`; nobody has started any of them.
    """
    zone = ZoneInfo(timezone)
    oldest = max(first, now - ON_TIME) if missed == "skip" else first
    most = max_missed if missed == "all" else 1
    found = _latest(expression, zone, oldest, now, most)
    return Due(
        tuple(instant.astimezone(zone) for instant in found),
        next_window(expression, timezone, now),
    )


def _latest(
    expression: str, zone: ZoneInfo, oldest: datetime, now: datetime, most: int
) -> deque[datetime]:
    """At most `most` windows from `oldest` to `now`. Looks back no further than it has to."""
    look = _FIRST_LOOK
    while True:
        begin = max(oldest - _INSTANT, now - look)
        passed = takewhile(lambda instant: instant <= now, _instants(expression, zone, begin))
        found = deque(passed, maxlen=most)
        if len(found) == most or begin < oldest:
            return found
        look *= 2


def _instants(expression: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Every window later than `after`, in order, in UTC."""
    last = after.astimezone(UTC)
    again: deque[datetime] = deque()
    walls = CronSim(expression, _begin(after.astimezone(zone)))
    while True:
        for instant in _in_order(again, _passes(expression, next(walls), zone)):
            if instant > last:
                last = instant
                yield instant


def _begin(after: datetime) -> datetime:
    """The wall-clock time after which to look.

    In the first pass of an overlap all of the overlap: what has passed comes again.
    """
    first, second = (_shift(after.replace(fold=fold)) for fold in (0, 1))
    return after.replace(tzinfo=None, fold=0) - (first - second)


def _shift(moment: datetime) -> timedelta:
    shift = moment.utcoffset()
    assert shift is not None, "a moment in a zone has an offset"
    return shift


def _passes(expression: str, wall: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """When the wall clock shows a time that matches, as far as that counts."""
    early, late = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early == late:
        return (early,)
    is_fixed = not any(field.startswith("*") for field in expression.split()[:2])
    if early < late:
        return (early,) if is_fixed else (early, late)
    return (_end_of_gap(wall, zone),) if is_fixed else ()


def _end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """When the clocks go on that skip a time."""
    while True:
        wall += _MINUTE
        early, late = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if early <= late:
            return early


def _in_order(again: deque[datetime], passes: tuple[datetime, ...]) -> Iterator[datetime]:
    """What can be told by now: second passes wait in `again` until the first ones are over."""
    for first in passes[:1]:
        while again and again[0] < first:
            yield again.popleft()
        yield first
    again.extend(passes[1:])
