"""What a mesh is told at construction, checked as a whole."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from squid_mesh.errors import InvalidConfig
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
        settings = cls(
            name=name,
            dsn=dsn,
            queueing=queueing,
            retention=None if retention is None else retention.total_seconds(),
            heartbeat=heartbeat.total_seconds(),
            lease=lease.total_seconds(),
            blocked=blocked.total_seconds(),
            grace=grace.total_seconds(),
            overdue=overdue.total_seconds(),
            handover=handover.total_seconds(),
            max_interruptions=max_interruptions,
        )
        if problems := settings.problems():
            raise InvalidConfig(problems)
        return settings

    def until_handed_over(self) -> float:
        """Seconds until a step that other code must run is offered again, without a storm."""
        return random.uniform(self.handover / 5, self.handover)  # noqa: S311 (spreads load)

    def problems(self) -> list[str]:
        """What is wrong, in sentences."""
        rules = {
            f"name={self.name!r}: use letters, digits and _": _NAME.fullmatch(self.name),
            "queue is empty: name an Oban queue": self.queueing.queue.strip(),
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
            "max_interruptions must be at least 1": self.max_interruptions >= 1,
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


class Gathered:
    """Problems of several parts of a configuration, raised together."""

    def __init__(self) -> None:
        self._problems: list[str] = []

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
