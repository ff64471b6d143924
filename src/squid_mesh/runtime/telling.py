"""The events that claims, recorded results and cancellations amount to."""

from __future__ import annotations

from typing import TypedDict
from uuid import UUID

from squid_mesh.engine.gates import Decided
from squid_mesh.engine.states import ENDED, RunStatus
from squid_mesh.runtime.cancelling import Cancellation
from squid_mesh.runtime.deciding import Moved
from squid_mesh.runtime.failures import BodyFailure
from squid_mesh.runtime.results import Hold, Output, Result, Sleep, Unfit
from squid_mesh.store.records import Advanced, Claimed, Ended, Outcome, Progress, Stale
from squid_mesh.telemetry import (
    Event,
    RunCancelRequested,
    RunCreated,
    RunEnded,
    RunReplayed,
    StepCompleted,
    StepDecided,
    StepFailed,
    StepPaused,
    StepRefused,
    StepRetryScheduled,
    StepSlept,
    StepStarted,
)


class _Facts(TypedDict):
    run_id: UUID
    workflow: str
    step: str
    attempt: int


def begun(run_id: UUID, workflow: str, trigger: str, replayed_from: UUID | None) -> Event:
    """A run was started, as a replay of another or not."""
    if replayed_from is None:
        return RunCreated(run_id=run_id, workflow=workflow, trigger=trigger)
    return RunReplayed(
        run_id=run_id, workflow=workflow, trigger=trigger, replayed_from=replayed_from
    )


def started(claimed: Claimed) -> Event:
    """A body is about to run."""
    return StepStarted(**_facts(claimed))


def recorded(
    claimed: Claimed, result: Result, progress: Progress, outcome: Outcome, duration: float
) -> list[Event]:
    """What to tell once a step's progress is durable, in order."""
    if isinstance(outcome, Stale):
        return [StepRefused(**_facts(claimed))]
    told = _step_events(claimed, result, progress, duration)
    if not isinstance(outcome, Advanced):  # its run goes nowhere: nothing comes after the attempt
        told = [event for event in told if type(event) in _RESULTS]
    if isinstance(outcome, Ended):
        ended = RunEnded(run_id=claimed.run_id, workflow=claimed.workflow, status=outcome.status)
        return [*told, ended]
    return told


_RESULTS: frozenset[type[Event]] = frozenset({StepCompleted, StepFailed})


def decided(run_id: UUID, workflow: str, moved: Moved, decision: Decided) -> list[Event]:
    """What to tell once a decision is durable, in order."""
    step = StepDecided(
        run_id=run_id,
        workflow=workflow,
        step=moved.step,
        attempt=moved.attempt,
        decision=decision,
    )
    if moved.status not in ENDED:
        return [step]
    return [step, RunEnded(run_id=run_id, workflow=workflow, status=moved.status)]


def cancelled(run_id: UUID, workflow: str, cancellation: Cancellation) -> list[Event]:
    """A run was cancelled, unless it had been before."""
    if not cancellation.is_new:
        return []
    status = cancellation.status
    asked = RunCancelRequested(run_id=run_id, workflow=workflow, status=status)
    if status is not RunStatus.CANCELLED:
        return [asked]
    return [asked, RunEnded(run_id=run_id, workflow=workflow, status=status)]


def _step_events(
    claimed: Claimed, result: Result, progress: Progress, duration: float
) -> list[Event]:
    facts = _facts(claimed)
    match result:
        case Output():
            return [StepCompleted(**facts, duration=duration)]
        case BodyFailure(error):
            kind, code = error["type"], error["code"]
            failed = StepFailed(**facts, duration=duration, error_type=kind, code=code)
            if progress.delay is None:
                return [failed]
            return [failed, StepRetryScheduled(**facts, delay=progress.delay)]
        case Sleep(delay):
            return [StepSlept(**facts, delay=delay)]
        case Hold():
            return [StepPaused(**facts)]
        case Unfit():
            return []


def _facts(claimed: Claimed) -> _Facts:
    return {
        "run_id": claimed.run_id,
        "workflow": claimed.workflow,
        "step": claimed.step,
        "attempt": claimed.attempt,
    }
