"""What is written and read in groups, as values: starts, claims and progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from squid_mesh.engine.states import RunStatus, StepStatus


@dataclass(frozen=True, slots=True)
class FirstStep:
    """A step that has a row from the start: ready when it waits for nothing."""

    step: str
    open: int
    queue: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A run to be started. `payload` is JSON."""

    run_id: UUID
    workflow: str
    definition: str
    trigger: str
    payload: bytes
    first: tuple[FirstStep, ...]
    open_ends: int
    key: str | None = None
    window_at: datetime | None = None
    replayed_from: UUID | None = None
    tags: dict[str, str] | None = None
    priority: int = 0
    trace: str | None = None
    """What an instrument keeps with the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedWindow:
    """A cron window whose payload couldn't be made: a run that has failed before it began.

    `error` is JSON.
    """

    run_id: UUID
    workflow: str
    definition: str
    trigger: str
    window_at: datetime
    error: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """A step that a job asks to run."""

    run_id: UUID
    step: str


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """A driver that has room for another run: the step whose job is next in this queue.

    Two of them are never the same, as each wants one.
    """

    queue: str


@dataclass(slots=True)
class Claimed:
    """A durable claim, and what the run has stored: all that a body may start under (law 1)."""

    run_id: UUID
    step: str
    attempt: int
    definition: str
    workflow: str
    trigger: str
    window_at: datetime | None
    queue: str | None
    payload: Any
    outputs: dict[str, Any]
    errors: dict[str, Any]
    slept: bool
    """Whether this is a wait whose time has come."""
    begins: bool = False
    """Whether it is the run's first claim."""
    trace: str | None = None
    waited: float | None = None
    """Seconds since it had been ready; None when it was claimed with the step before it."""
    started: float = 0.0
    """The start of its run, by this process's monotonic clock."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A claim whose job is gone with it: its id, and what it said."""

    claimed: Claimed
    job: int
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NotYet:
    """The step is due later: in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Overdue:
    """The step waits for a decision, and its deadline has passed."""

    definition: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to claim: the step was done, is being done, or its run has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What one attempt reports and everything that follows from it, committed together (law 4).

    `status` is what the step becomes. With `next` a flow goes on: claimed by this driver when
    `inline`, else handed over to a job in `queue`. With `joins` the steps that wait for this one
    count it off; a driver with `inline` takes the only one of them itself. One with `takes` that
    goes on with none of these takes along another ready step of the run, whose job nobody has
    fetched yet. `ends` says that this way through the graph is at its end, `fails` that the run
    fails with `error`. `needs` names the action of a step that is parked until a process has code
    that can call it. A paused step with a `delay` is decided by nobody when it has passed. `event`
    is what the audit keeps of it.
    """

    run_id: UUID
    step: str
    attempt: int
    status: StepStatus
    output: bytes | None = None
    error: bytes | None = None
    delay: float | None = None
    next: str | None = None
    queue: str | None = None
    inline: bool = False
    joins: tuple[str, ...] = ()
    takes: bool = False
    ends: bool = False
    fails: bool = False
    needs: str | None = None
    event: str | None = None
    job: int | None = None

    @property
    def is_chain(self) -> bool:
        """Completed, with one new step for this driver or at the end: what advance_chain writes."""
        return (
            self.status is StepStatus.COMPLETED
            and not self.joins
            and not self.takes
            and (self.ends if self.next is None else self.inline)
        )


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A step whose body is gone: the attempt, and the boot that claimed it."""

    run_id: UUID
    step: str
    attempt: int
    claim: int
    definition: str
    before: int
    """How often it was interrupted before."""
    trigger: str = ""
    trace: str | None = None
    age: float = 0.0
    """Seconds since its run was started."""


@dataclass(frozen=True, slots=True)
class Released:
    """An interrupted attempt was recorded. `goes_on`: its step is ready again.

    Otherwise the run was cancelled or failing, and may have ended with it: as `outcome`.
    """

    run_id: UUID
    step: str
    attempt: int
    goes_on: bool
    outcome: RunStatus | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """The outputs and errors that a run has stored, by step."""

    outputs: dict[str, Any]
    errors: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Advanced:
    """The record was written. `step` is the one that this driver has claimed with it, if any.

    `job` is the one that the step itself comes back with: it sleeps, is to be retried, or has a
    deadline.
    """

    step: str | None
    job: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Stale:
    """The claim was no longer this driver's: nothing was written (law 2)."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The record was written, but the run goes nowhere: it is cancelled or failing."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The record was written, and the run ended with it."""

    status: RunStatus


type Outcome = Advanced | Stale | Stopped | Ended
type Claiming = Claimed | NotYet | Overdue | Nothing
