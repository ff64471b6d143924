"""From a situation to its explanation: pure, as what it says has to be right in every case."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from squid_mesh.definition.handed import StepFailure
from squid_mesh.engine.states import RunStatus, StepStatus
from squid_mesh.inspection.explanation import Action, Cause, Explanation, Reason
from squid_mesh.inspection.situation import RunFacts, Situation
from squid_mesh.inspection.standing import cause_of
from squid_mesh.inspection.wording import actions, evidence, failure, listed, shown

_ORDER = {reason: place for place, reason in enumerate(Reason)}


def explain(situation: Situation) -> Explanation:
    """Why the run is where it is: the most urgent cause first, then the others."""
    causes = sorted((cause_of(live, situation) for live in situation.steps), key=_urgency)
    whole = _as_a_whole(situation)
    first, others = (whole, causes) if whole is not None else (causes[0], causes[1:])
    return Explanation(
        **{field.name: getattr(first, field.name) for field in fields(Cause)},
        run_id=situation.run.id,
        workflow=situation.run.workflow,
        status=situation.run.status,
        evidence=evidence(situation, first.step),
        others=tuple(others),
    )


def _urgency(cause: Cause) -> tuple[int, str]:
    return _ORDER[cause.reason], cause.step or ""


def _as_a_whole(situation: Situation) -> Cause | None:
    """The cause that is the run's, not one of its steps'."""
    run = situation.run
    match run.status:
        case RunStatus.COMPLETED:
            return _ended(run, Reason.COMPLETED, "It has completed.")
        case RunStatus.CANCELLED:
            return _cancelled(run)
        case RunStatus.FAILED:
            return _failed(run)
        case RunStatus.CANCELLING:
            return _cancelling(situation)
        case _:
            return _going_nowhere(situation)


def _going_nowhere(situation: Situation) -> Cause | None:
    """The cause of a run that lives, but that none of its steps takes on."""
    if situation.run.error is not None:
        return _failing(situation, situation.run.error)
    if all(live.status is StepStatus.WAITING for live in situation.steps):
        return _adrift(situation.run)
    return None


def _ended(
    run: RunFacts, reason: Reason, sentence: str, step: str | None = None, **details: Any
) -> Cause:
    return Cause(
        reason=reason,
        sentence=sentence,
        step=step,
        since=run.ended_at,
        moves=None,
        moves_at=None,
        details=details,
        actions=actions(Action.REPLAY_RUN),
    )


def _cancelled(run: RunFacts) -> Cause:
    by = "" if run.cancelled_by is None else f" by {run.cancelled_by}"
    return _ended(
        run,
        Reason.CANCELLED,
        f"It was cancelled{by}.",
        actor=run.cancelled_by,
        comment=run.cancel_comment,
        asked_at=shown(run.cancel_requested_at),
    )


def _failed(run: RunFacts) -> Cause:
    error = run.error
    assert error is not None, "a CHECK of the schema: a failed run has an error"
    reason, why = _why_failed(run, error)
    step = error.step or None
    details = failure(error) | {"max_attempts": run.max_attempts, "window": shown(run.window)}
    sentence = f"{error.step}{why}: {error.type}: {error.message}"
    return _ended(run, reason, sentence, step, **details)


def _why_failed(run: RunFacts, error: StepFailure) -> tuple[Reason, str]:
    """Why it isn't tried again, as what stands after the step's name."""
    if not error.step:
        return Reason.WINDOW_FAILED, "Its cron window has no payload"
    if error.code == INTERRUPTED:
        return Reason.INTERRUPTED_FOR_GOOD, " was interrupted, and isn't to be tried again"
    if not error.retryable:
        return Reason.NOT_RETRYABLE, " failed in a way that trying again can't help"
    if run.max_attempts is not None and error.attempt >= run.max_attempts:
        return Reason.ATTEMPTS_USED_UP, f" failed, and its {run.max_attempts} attempts are used up"
    return Reason.STEP_FAILED, " failed, and isn't tried again for that"


INTERRUPTED = "interrupted"
"""The code of the error of a step whose worker died in the middle of it."""


def _cancelling(situation: Situation) -> Cause:
    run = situation.run
    bodies = _bodies(situation)
    return Cause(
        reason=Reason.CANCELLING,
        sentence=f"It was cancelled, and ends with its bodies: {listed(bodies)}.",
        step=None,
        since=run.cancel_requested_at,
        moves=f"the end of {listed(bodies)}; a body can't be stopped from outside",
        moves_at=None,
        details={"steps": bodies, "actor": run.cancelled_by, "comment": run.cancel_comment},
        actions=actions(Action.WAIT_FOR_RUN),
    )


def _failing(situation: Situation, error: StepFailure) -> Cause:
    bodies = _bodies(situation)
    return Cause(
        reason=Reason.FAILING,
        sentence=f"{error.step} failed, and the run fails with the end of its bodies: "
        f"{listed(bodies)}.",
        step=error.step,
        since=situation.run.failed_at,
        moves=f"the end of {listed(bodies)}",
        moves_at=None,
        details=failure(error) | {"steps": bodies},
        actions=actions(Action.WAIT_FOR_RUN, Action.CANCEL_RUN),
    )


def _bodies(situation: Situation) -> list[str]:
    return [live.step for live in situation.steps if live.status is StepStatus.RUNNING]


def _adrift(run: RunFacts) -> Cause:
    return Cause(
        reason=Reason.ADRIFT,
        sentence="No step of it is alive: rows of it are missing, and nothing moves it any more.",
        step=None,
        since=run.updated_at,
        moves=None,
        moves_at=None,
        details={},
        actions=actions(Action.CANCEL_RUN, Action.REPLAY_RUN),
    )
