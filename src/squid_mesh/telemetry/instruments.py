"""The port of tracing and metrics: what an instrument is asked for, beside being told events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from squid_mesh.telemetry.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """A run that is about to be written.

    `replays` is the trace of the run that it replays, if that has one. A run of a cron `window` has
    no caller: whatever is current where it is started has nothing to do with it.
    """

    run_id: UUID
    workflow: str
    trigger: str
    replays: str | None = None
    window: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """An attempt of a step that is about to be performed, under a durable claim.

    `trace` is what was kept with its run when it was started. `kind` is the step's: `action`,
    `log`, `wait`, `pause` or `approval`. `queue` is the one that it names, if any.
    """

    run_id: UUID
    workflow: str
    trigger: str
    step: str
    attempt: int
    kind: str
    queue: str | None = None
    trace: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How an attempt failed. The run's secrets are taken out of `message` and `traceback`."""

    type: str
    message: str = field(repr=False)
    code: str | None
    traceback: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flushed:
    """A group of `records` was written, in so many seconds: one round trip and one commit.

    `kind` is `starts`, `claims`, `takes`, `progress` or `loads`.
    """

    kind: str
    records: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """So many steps were due without a job, and have a new one."""

    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OldestReady:
    """For how many seconds the step that has been due for longest has been so; 0 for none.

    It is of the whole schema: every process finds the same.
    """

    seconds: float


type Measure = Flushed | Requeued | OldestReady
"""What is told of a process, not of a run."""


class Span(Protocol):
    """Something under way. Begun and ended in one task, with what it comes to in between."""

    @property
    def trace(self) -> str | None:
        """What to keep with a run so that its steps, in any process, belong to the same trace."""
        ...

    def end(self, outcome: str, failure: Failure | None = None) -> None:
        """It came to this.

        A start to `created`, `held` (its key was known) or `raised`; a step to `completed`,
        `failed`, `postponed` (by `RetryLater`), `slept`, `paused`, `unfit`, `refused` or
        `interrupted`.
        """
        ...


class Instrument:
    """An observer that is asked for more: extend it, and give it to `Mesh(observers=[…])`.

    A mesh has one at most. Each method does nothing unless it is overridden; what one raises is
    logged and changes nothing.
    """

    def __call__(self, event: Event) -> None:
        """Something happened."""

    def begin_start(self, starting: Starting) -> Span | None:
        """A run is about to be written, in its caller's task."""
        del starting
        return None

    def begin_step(self, work: Work) -> Span | None:
        """A step is about to be performed; what is set in the context here is so around its body.

        The end of the span is called in the same context, so that it can be set back.
        """
        del work
        return None

    def measure(self, measure: Measure) -> None:
        """A measurement of this process."""

    @property
    def wants_oldest_ready(self) -> bool:
        """Whether `OldestReady` is to be read with the next sweep: it takes a query."""
        return False
