"""Everything that decides where a run is, at one moment: run, steps, jobs, leases, queues, code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from squid_mesh.definition.handed import StepFailure
from squid_mesh.definition.spec import StepKind
from squid_mesh.engine.states import RunStatus, StepStatus
from squid_mesh.inspection.models import OnInterrupt

MOST_AHEAD = 10_000
"""Jobs that are counted before one in its queue; as many stand for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What this mesh was told: how long a silence, and how late a job, mean something."""

    mesh: str
    queue: str
    lease: timedelta
    blocked: timedelta
    overdue: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A process that has a lease, living or not. Times are real: no test moves them."""

    boot: int
    mesh: str
    node: str
    pid: int
    alive_at: datetime
    loop_at: datetime
    knows_definition: bool
    knows_actions: frozenset[str]
    """Those of the actions that parked steps of the run need; whether they fit isn't said."""

    @property
    def name(self) -> str:
        """The process as a reader knows it."""
        return f"{self.node} ({self.pid})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """An Oban that serves a queue."""

    queue: str
    name: str
    node: str
    paused: bool
    limit: int
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A step's job, as Oban has it. `ahead` are the jobs that its queue takes before it."""

    id: int
    state: str
    worker: str
    scheduled_at: datetime
    attempted_at: datetime | None
    attempted_by: str | None
    ahead: int

    @property
    def mesh(self) -> str:
        """The mesh whose job it is."""
        return self.worker.removeprefix("squid_mesh.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A step that hasn't ended.

    `max_attempts` is None without a retry policy. `misfits` says why this process's code can't call
    it, `waits_for` which of its dependencies have not completed.
    """

    step: str
    kind: StepKind
    status: StepStatus
    attempt: int
    max_attempts: int | None
    on_interrupt: OnInterrupt
    queue: str
    error: StepFailure | None
    due_at: datetime | None
    started_at: datetime | None
    needs: str | None
    misfits: tuple[str, ...]
    waits_for: tuple[str, ...]
    interruptions: int
    interrupted_at: datetime | None
    job: Job | None
    claim: int | None
    lease: Lease | None
    """The lease of the process that has claimed it; None when it is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The run itself. `max_attempts` is the retry policy's of the step that failed it."""

    id: UUID
    workflow: str
    definition: str
    trigger: str
    status: RunStatus
    window: datetime | None
    error: StepFailure | None
    failed_at: datetime | None
    max_attempts: int | None
    inserted_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    cancel_requested_at: datetime | None
    cancelled_by: Any
    cancel_comment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One run at one moment. `at` is the schema's time, `clock` the real one."""

    at: datetime
    clock: datetime
    limits: Limits
    run: RunFacts
    steps: tuple[Live, ...]
    leases: tuple[Lease, ...]
    """Of the processes that live."""
    producers: Mapping[str, tuple[Producer, ...]]
    """By queue."""
