"""What happened, as values: one hook for metrics, traces and logs.

An event is told after the commit that made it true, in the process that made it. An observer that
raises is logged and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """Something that happened to a run."""

    run_id: UUID
    workflow: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCreated(RunEvent):
    """A run was started. On a host's connection it is told by the run's first claim instead."""

    trigger: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReplayed(RunEvent):
    """A run was started that replays another, `replayed_from`. No `RunCreated` is told of it."""

    trigger: str
    replayed_from: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(RunEvent):
    """A run came to `completed`, `failed` or `cancelled`.

    One that was cancelled on a host's connection, with nothing under way, is told by nobody: its
    end is the host's commit.
    """

    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelRequested(RunEvent):
    """Somebody asked for a run to be cancelled; `status` is what it became."""

    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent(RunEvent):
    """Something that happened to an attempt of a step."""

    step: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(StepEvent):
    """A body is about to run, under a durable claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCompleted(StepEvent):
    """A result was recorded, `duration` seconds after the attempt began."""

    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(StepEvent):
    """A failure was recorded. `code` is a `StepError`'s or the engine's own."""

    duration: float
    error_type: str
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRetryScheduled(StepEvent):
    """A failed attempt is followed by another, in `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPaused(StepEvent):
    """A step waits for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDecided(StepEvent):
    """A paused step goes on: `resumed`, `approved`, `rejected`, `timed_out` or `resolved`.

    What is decided in a host's transaction isn't told, as nobody knows here when it commits.
    """

    decision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSlept(StepEvent):
    """A wait sleeps for `delay` seconds, or a step that can't run here now is put off."""

    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInterrupted(StepEvent):
    """A body died with its process; `policy` says what becomes of the step.

    `retry`, `pause` or `fail`; or `cancel`, when its run goes no further.
    """

    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRefused(StepEvent):
    """A late result was refused: the claim had passed to somebody else. Nothing changed."""


type Event = RunEvent
type Observer = Callable[[Event], object]


class Telemetry:
    """Tells observers, in the order they were given."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)

    @property
    def is_heard(self) -> bool:
        """Whether there is anybody to tell; events needn't be made for nobody."""
        return bool(self._observers)

    def tell(self, event: Event) -> None:
        """Tell every observer; what one raises is logged."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                logger.exception("an observer failed at %s", type(event).__name__)
