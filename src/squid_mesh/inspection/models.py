"""Runs as readers see them: frozen values, newest facts, no code needed to make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, overload
from uuid import UUID

from squid_mesh.definition.handed import Decision, StepFailure
from squid_mesh.definition.nodes import Approval, Step
from squid_mesh.definition.spec import StepKind
from squid_mesh.definition.values import Codec
from squid_mesh.engine.states import AttemptStatus, RunStatus, StepStatus

type OnInterrupt = Literal["retry", "pause", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run. `payload` is its stored JSON without its secrets.

    Lists show no personal data: there `payload` is None, and `error` has no details. A `repr` shows
    none of it either.
    """

    id: UUID
    workflow: str
    definition: str
    trigger: str
    status: RunStatus
    current_steps: tuple[str, ...]
    payload: Mapping[str, Any] | None = field(repr=False)
    error: StepFailure | None
    key: str | None
    tags: Mapping[str, str]
    window: datetime | None
    replayed_from: UUID | None
    created: bool = True
    """False when `start_run` met its key and this is the run that holds it."""
    inserted_at: datetime
    updated_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a step."""

    number: int
    status: AttemptStatus
    error: StepFailure | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """What becomes of a step whose worker dies in the middle of it, and how often that was so."""

    on_interrupt: OnInterrupt
    interruptions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """A declared step, whether it has begun or not.

    * `input` is what its wires lead to, by parameter (of a wait its `duration`, of an approval its
      `deadline`), as JSON without secrets; None before it has begun.
    * `output` is its stored JSON without secrets.
    * `due_at` is when a sleeping step goes on, a ready one became ready, or a deadline passes.
    * `worker` is who runs it or ran it last, as long as that process is remembered.
    """

    step: str
    kind: StepKind
    status: StepStatus
    depends_on: tuple[str, ...]
    input: Mapping[str, Any] | None = field(repr=False)
    output: Any = field(repr=False)
    error: StepFailure | None
    attempts: tuple[Attempt, ...]
    due_at: datetime | None
    worker: str | None
    recovery: Recovery
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """A decision of a person, or something that recovery did."""

    type: str
    step: str | None
    actor: Any
    comment: str | None = field(repr=False)
    metadata: Mapping[str, Any] | None = field(repr=False)
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetails(Run):
    """A run with its history.

    `steps` has one entry for each declared step, in the order of declaration; `step_runs` those
    that have begun or are ready, in the order of their start; `context` the outputs by name.
    """

    context: Mapping[str, Any] = field(repr=False)
    steps: tuple[StepState, ...]
    step_runs: tuple[StepState, ...]
    audit_events: tuple[AuditEvent, ...]
    stored: Mapping[str, Any] = field(repr=False)
    """The outputs as they are stored, secrets and all, by step: what `output` reads."""
    codecs: Mapping[str, Codec] = field(repr=False, compare=False)

    @overload
    def output[R](self, step: Step[R], /) -> R: ...
    @overload
    def output(self, step: Approval, /) -> Decision: ...
    def output(self, step: Step[Any] | Approval, /) -> Any:
        """The typed output of a step. Raises `LookupError` when it has none."""
        name = step.names[0]
        state = next((s for s in self.steps if s.step == name), None)
        if state is None:
            raise LookupError(f"{self.workflow} has no step {name!r}")
        if state.status is not StepStatus.COMPLETED:
            raise LookupError(f"step {name!r} of run {self.id} is {state.status}: it has no output")
        return self.codecs[name].load(self.stored[name])


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs, newest first, and the cursor of the next page (None on the last)."""

    runs: tuple[Run, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A cron trigger. Windows are in its own time zone.

    `next_window` is None while nothing fires it: it is paused, or no code declares it any more.
    `last_window` is the last one that was started. `error` is why its newest window has no payload
    (yet, or at all).
    """

    workflow: str
    trigger: str
    expression: str
    timezone: str
    next_window: datetime | None
    last_window: datetime | None
    paused: bool
    error: StepFailure | None
