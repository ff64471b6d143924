"""The events that claims, recorded results and cancellations amount to; failures in the log."""

from __future__ import annotations

import logging
import time
from typing import TypedDict, assert_never
from uuid import UUID

from squid_mesh.engine.gates import Decided
from squid_mesh.engine.states import ENDED, RunStatus
from squid_mesh.runtime.cancelling import Cancellation
from squid_mesh.runtime.deciding import Moved
from squid_mesh.runtime.failures import BodyFailure
from squid_mesh.runtime.results import Hold, Output, Result, Sleep, Unfit
from squid_mesh.store.records import (
    Advanced,
    Claimed,
    Ended,
    FailedWindow,
    Outcome,
    Progress,
    Stale,
    Start,
    Stopped,
)
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

logger = logging.getLogger("squid_mesh.step")


class _Run(TypedDict):
    run_id: UUID
    workflow: str
    trigger: str
    trace: str | None


class _Facts(_Run):
    step: str
    attempt: int


def created(run: Start | Claimed, replayed_from: UUID | None = None) -> Event:
    """The run was started: it was inserted, or could be claimed, so its host has committed."""
    if replayed_from is None:
        return RunCreated(**_run_of(run))
    return RunReplayed(**_run_of(run), replayed_from=replayed_from)


def window_passed(run: Start | FailedWindow) -> list[Event]:
    """A window's run was started; one whose payload couldn't be made has ended as well."""
    if isinstance(run, Start):
        return [created(run)]
    facts: _Run = {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "trigger": run.trigger,
        "trace": None,
    }
    return [RunCreated(**facts), RunEnded(**facts, status=RunStatus.FAILED, duration=0.0)]


def started(claimed: Claimed) -> Event:
    """A body is about to run."""
    return StepStarted(**_facts(claimed), waited=claimed.waited)


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
        return [*told, _ended(claimed, outcome)]
    return told


def _ended(claimed: Claimed, outcome: Ended) -> Event:
    duration = time.monotonic() - claimed.started
    return RunEnded(**_run_of(claimed), status=outcome.status, duration=duration)


_RESULTS: frozenset[type[Event]] = frozenset({StepCompleted, StepFailed})


def decided(run_id: UUID, workflow: str, moved: Moved, decision: Decided) -> list[Event]:
    """What to tell once a decision is durable, in order."""
    run: _Run = {
        "run_id": run_id,
        "workflow": workflow,
        "trigger": moved.trigger,
        "trace": moved.trace,
    }
    step = StepDecided(
        **run, step=moved.step, attempt=moved.attempt, decision=decision, duration=moved.waited
    )
    if moved.status not in ENDED:
        return [step]
    return [step, RunEnded(**run, status=moved.status, duration=moved.age)]


def cancelled(run_id: UUID, workflow: str, cancellation: Cancellation) -> list[Event]:
    """A run was cancelled, unless it had been before."""
    if not cancellation.is_new:
        return []
    status = cancellation.status
    run: _Run = {
        "run_id": run_id,
        "workflow": workflow,
        "trigger": cancellation.trigger,
        "trace": cancellation.trace,
    }
    asked = RunCancelRequested(**run, status=status)
    if status is not RunStatus.CANCELLED:
        return [asked]
    return [asked, RunEnded(**run, status=status, duration=cancellation.age)]


def log_failure(
    claimed: Claimed, failure: BodyFailure, progress: Progress, outcome: Outcome
) -> None:
    """Say in the log that a step has failed, and what follows: a routine retry at `info`.

    The error's text isn't said, as it may hold personal data: `inspect_run` has it.
    """
    error = failure.error
    retried = isinstance(outcome, Advanced) and progress.delay is not None
    logger.log(
        logging.INFO if retried else logging.WARNING,
        "step %s of run %s failed in attempt %d with %s%s: %s",
        claimed.step,
        claimed.run_id,
        claimed.attempt,
        error["type"],
        "" if error["code"] is None else f" ({error['code']})",
        _what_follows(progress, outcome),
        extra={
            "run_id": str(claimed.run_id),
            "workflow": claimed.workflow,
            "step": claimed.step,
            "attempt": claimed.attempt,
        },
    )


def _what_follows(progress: Progress, outcome: Outcome) -> str:
    match outcome:
        case Ended(status):
            return f"its run is {status}"
        case Advanced() if progress.delay is not None:
            return f"it is tried again in {progress.delay:g} s"
        case Advanced():
            return "its run goes on along its error route"
        case Stopped() | Stale():
            return "its run goes no further"
        case _:
            assert_never(outcome)


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
    return {**_run_of(claimed), "step": claimed.step, "attempt": claimed.attempt}


def _run_of(run: Start | Claimed) -> _Run:
    return {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "trigger": run.trigger,
        "trace": run.trace,
    }
