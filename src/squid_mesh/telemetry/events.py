"""What happened to runs and steps, as values.

An event is told after the commit that made it true, in the process that made it. Times are seconds;
an event holds no payload, no output and no error's text, which may be personal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """Something that happened to a run.

    `trace` is what an instrument keeps with the run, and `at` is this process's clock.
    """

    run_id: UUID
    workflow: str
    trigger: str
    trace: str | None = field(default=None, repr=False, compare=False)
    at: datetime = field(default_factory=_now, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCreated(RunEvent):
    """A run was started. On a host's connection it is told by the run's first claim instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReplayed(RunEvent):
    """A run was started that replays another, `replayed_from`. No `RunCreated` is told of it."""

    replayed_from: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(RunEvent):
    """A run came to `completed`, `failed` or `cancelled`, `duration` seconds after its start.

    One that was cancelled on a host's connection, with nothing under way, is told by nobody: its
    end is the host's commit.
    """

    status: str
    duration: float = field(compare=False)


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
    """A body is about to run, under a durable claim.

    `waited` is for how many seconds it had been ready; None when it goes on in another's job.
    """

    waited: float | None = field(default=None, compare=False)


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

    `duration` is in seconds since its attempt began: for how long it waited for somebody.
    What is decided in a host's transaction isn't told, as nobody knows here when it commits.
    """

    decision: str
    duration: float = field(compare=False)


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
