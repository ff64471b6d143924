"""What a mesh is told at construction, checked as a whole."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import Any, Self

from squid_mesh.definition.values import is_storable
from squid_mesh.errors import InvalidConfig, shown
from squid_mesh.store.writes import Queueing

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a process needs to know. Times are in seconds."""

    name: str
    dsn: str
    queueing: Queueing
    retention: float | None
    heartbeat: float
    lease: float
    blocked: float
    grace: float
    overdue: float
    handover: float
    max_interruptions: int

    @classmethod
    def of(
        cls,
        *,
        name: str,
        dsn: str,
        queueing: Queueing,
        retention: timedelta | None,
        heartbeat: timedelta,
        lease: timedelta,
        blocked: timedelta,
        grace: timedelta,
        overdue: timedelta,
        handover: timedelta,
        max_interruptions: int,
    ) -> Self:
        """Settings from what a host writes. Raises `InvalidConfig` with every one that is wrong."""
        times = {
            "heartbeat": heartbeat,
            "lease": lease,
            "blocked": blocked,
            "grace": grace,
            "overdue": overdue,
            "handover": handover,
        }
        kept = {} if retention is None else {"retention": retention}
        settings = cls(
            name=name,
            dsn=dsn,
            queueing=queueing,
            retention=None if retention is None else _seconds("retention", retention),
            max_interruptions=max_interruptions,
            **{what: _seconds(what, time) for what, time in times.items()},
        )
        if problems := [*_mistyped(times | kept), *settings.problems()]:
            raise InvalidConfig(problems)
        return settings

    def until_handed_over(self) -> float:
        """Seconds until a step that other code must run is offered again, without a storm."""
        return random.uniform(self.handover / 5, self.handover)  # noqa: S311 (spreads load)

    def problems(self) -> list[str]:
        """What is wrong, in sentences."""
        rules = {
            f"name={shown(self.name)}: use letters, digits and _": (
                is_storable(self.name) and _NAME.fullmatch(self.name)
            ),
            f"queue={shown(self.queueing.queue)}: name an Oban queue": (
                is_storable(self.queueing.queue) and self.queueing.queue.strip()
            ),
            "retention must be positive, or None": self.retention is None or self.retention > 0,
            "heartbeat must be positive": self.heartbeat > 0,
            "lease must be at least twice heartbeat, or the living look dead": (
                self.lease >= 2 * self.heartbeat
            ),
            "blocked must be at least four times heartbeat, or the living look blocked": (
                self.blocked >= 4 * self.heartbeat
            ),
            "grace must not be negative": self.grace >= 0,
            "overdue must be positive, or steps whose job is about to come get another": (
                self.overdue > 0
            ),
            "handover must be positive, or steps for other code storm": self.handover > 0,
            f"max_interruptions={shown(self.max_interruptions)}: write a whole number from 1": (
                type(self.max_interruptions) is int and self.max_interruptions >= 1
            ),
        }
        return [problem for problem, holds in rules.items() if not holds]


def serve_some(queues: Collection[str], needed: Collection[str]) -> None:
    """See that an Oban of the mesh's own serves something, or nothing on purpose.

    Raises `InvalidConfig` when none of its queues is one of the mesh's. One that isn't is logged:
    it may be of steps that only earlier definitions have.
    """
    strange = sorted(set(queues) - set(needed))
    if not strange:
        return
    problem = (
        f"queues={', '.join(map(repr, strange))}: no step of these workflows is in such a queue, "
        f"theirs are {', '.join(map(repr, sorted(needed)))}"
    )
    if len(strange) == len(queues):
        raise InvalidConfig([problem])
    logger.warning("%s", problem)


_HARMLESS = {"heartbeat": 1e-9, "lease": inf, "blocked": inf}
"""What stands for a time that is none, so that nothing else is said of it."""


def _seconds(what: str, time: object) -> float:
    return time.total_seconds() if isinstance(time, timedelta) else _HARMLESS.get(what, 1.0)


def _mistyped(times: Mapping[str, object]) -> list[str]:
    return [
        f"{what}={shown(time)}: write timedelta(seconds=…)"
        for what, time in times.items()
        if not isinstance(time, timedelta)
    ]


def listed(what: str, given: Any) -> list[Any]:
    """The parts of a setting that is a list. Raises `InvalidConfig`."""
    if not hasattr(given, "__iter__") or type(given) in {str, bytes, dict}:
        raise InvalidConfig([f"{what}={shown(given)}: pass a list"])
    return list(given)


class Gathered:
    """Problems of several parts of a configuration, raised together."""

    def __init__(self) -> None:
        self._problems: list[str] = []

    @property
    def is_sound(self) -> bool:
        """Whether nothing was wrong so far."""
        return not self._problems

    @contextmanager
    def part(self) -> Generator[None]:
        """Keep what a part raises for `tell`."""
        try:
            yield
        except InvalidConfig as error:
            self._problems += error.problems

    def tell(self) -> None:
        """Raise `InvalidConfig` with all that was kept."""
        if self._problems:
            raise InvalidConfig(self._problems)
