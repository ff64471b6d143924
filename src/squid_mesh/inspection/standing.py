"""Why one step that hasn't ended is where it is. Pure."""

from __future__ import annotations

from datetime import datetime

from squid_mesh.definition.spec import StepKind
from squid_mesh.engine.states import StepStatus
from squid_mesh.inspection.explanation import Action, Cause, Reason
from squid_mesh.inspection.queueing import ready
from squid_mesh.inspection.situation import Live, Situation
from squid_mesh.inspection.wording import cause, failure, listed, shown, span


def cause_of(live: Live, situation: Situation) -> Cause:
    """Why a live step is where it is."""
    match live.status:
        case StepStatus.WAITING:
            return _waiting(live, situation)
        case StepStatus.RUNNING:
            return _running(live, situation)
        case StepStatus.PAUSED:
            return _paused(live, situation)
        case StepStatus.PENDING if live.needs is not None:
            return _parked(live, situation)
        case StepStatus.SCHEDULED if live.due_at is not None and live.due_at > situation.at:
            return _asleep(live)
        case _:
            return ready(live, situation)


def _waiting(live: Live, situation: Situation) -> Cause:
    names = listed(live.waits_for)
    return cause(
        live,
        Reason.WAITING_FOR_DEPENDENCIES,
        f"{live.step} waits for {names}.",
        Action.WAIT_FOR_RUN,
        Action.CANCEL_RUN,
        since=situation.run.inserted_at,
        moves=f"the completion of {names}",
        waits_for=list(live.waits_for),
    )


# what waits for a person


def _paused(live: Live, situation: Situation) -> Cause:
    if live.error is not None:
        return _interrupted(live)
    if live.kind is StepKind.APPROVAL:
        return _reviewed(live, situation)
    return cause(
        live,
        Reason.PAUSED,
        f"It waits at {live.step} until somebody lets it go on.",
        Action.UNBLOCK_RUN,
        Action.CANCEL_RUN,
        since=live.started_at,
        moves="a call of unblock_run",
    )


def _interrupted(live: Live) -> Cause:
    return cause(
        live,
        Reason.INTERRUPTED,
        f"The worker of {live.step} died in the middle of it, and it may have done its work: "
        "somebody has to decide.",
        Action.RESOLVE_STEP,
        Action.CANCEL_RUN,
        since=live.interrupted_at,
        moves="a call of resolve_step",
        interruptions=live.interruptions,
        attempt=live.attempt,
    )


def _reviewed(live: Live, situation: Situation) -> Cause:
    until = "" if live.due_at is None else f", until {shown(live.due_at)} at the latest"
    moves = "a call of approve_run or reject_run"
    if live.due_at is not None:
        moves += ", or the deadline"
    if live.due_at is not None and live.due_at <= situation.at:
        until = f", but its deadline, {shown(live.due_at)}, has passed"
        moves = "its job, which takes the way of the deadline"
    return cause(
        live,
        Reason.AWAITING_APPROVAL,
        f"It waits for somebody to approve or reject {live.step}{until}.",
        Action.APPROVE_RUN,
        Action.REJECT_RUN,
        Action.CANCEL_RUN,
        since=live.started_at,
        moves=moves,
        at=live.due_at,
        deadline=shown(live.due_at),
    )


# what waits for code


_FITS_HERE = "this process has code that would, unless a value that is stored no longer fits it"


def _parked(live: Live, situation: Situation) -> Cause:
    changes = listed(live.misfits) if live.misfits else _FITS_HERE
    knowing = [lease.name for lease in situation.leases if live.needs in lease.knows_actions]
    return cause(
        live,
        Reason.PARKED,
        f"No process that lives has code that can call {live.needs} as {live.step} wires it: "
        f"{changes}.",
        Action.DEPLOY_CODE,
        Action.CANCEL_RUN,
        since=live.started_at,
        moves="a process that starts with code that fits; it goes on within seconds",
        action=live.needs,
        changes=list(live.misfits),
        processes=[lease.name for lease in situation.leases],
        processes_with_the_action=knowing,
    )


# what a process works on


def _running(live: Live, situation: Situation) -> Cause:
    lease, limits = live.lease, situation.limits
    if lease is None or lease.alive_at + limits.lease <= situation.clock:
        return _abandoned(live, situation)
    if lease.loop_at + limits.lease <= situation.clock:
        return _blocked(live, situation, lease.loop_at)
    return cause(
        live,
        Reason.RUNNING,
        f"{live.step} runs on {lease.name}, attempt {live.attempt}.",
        Action.WAIT_FOR_RUN,
        Action.CANCEL_RUN,
        since=live.started_at,
        moves=f"the end of {live.step}",
        worker=lease.name,
        attempt=live.attempt,
    )


_TAKEN_OVER = {
    "retry": "tries it again",
    "pause": "pauses it, for somebody to decide",
    "fail": "gives it up, as it mustn't be done twice",
}


def _abandoned(live: Live, situation: Situation) -> Cause:
    lease, limits = live.lease, situation.limits
    who = "a process that nobody remembers" if lease is None else lease.name
    then = _TAKEN_OVER[live.on_interrupt]
    several: tuple[Action, ...] = (Action.WAIT_FOR_RUN, Action.CANCEL_RUN)
    moves, at = f"another process, which {then}", situation.clock
    if lease is not None:
        at = lease.alive_at + limits.lease
    if not situation.leases:
        several = (Action.START_PROCESS, *several)
        moves = f"a process of this mesh, once there is one, which {then}"
    return cause(
        live,
        Reason.WORKER_GONE,
        f"{live.step} was begun by {who}, which gives no sign of life any more.",
        *several,
        since=None if lease is None else lease.alive_at,
        moves=moves,
        at=at if situation.leases else None,
        worker=who,
        attempt=live.attempt,
        on_interrupt=live.on_interrupt,
    )


def _blocked(live: Live, situation: Situation, answered_at: datetime) -> Cause:
    assert live.lease is not None
    limits = situation.limits
    return cause(
        live,
        Reason.WORKER_BLOCKED,
        f"{live.step} is on {live.lease.name}, whose event loop hasn't answered for "
        f"{span(situation.clock - answered_at)}: something blocks it.",
        Action.WAIT_FOR_RUN,
        Action.CANCEL_RUN,
        since=answered_at,
        moves=f"the loop's answer; else another process, which {_TAKEN_OVER[live.on_interrupt]}",
        at=answered_at + limits.blocked,
        worker=live.lease.name,
        attempt=live.attempt,
    )


# what a time or a place in a queue decides about


def _asleep(live: Live) -> Cause:
    until = shown(live.due_at)
    if live.error is not None:
        return _retrying(live)
    if live.kind is StepKind.WAIT:
        return cause(
            live,
            Reason.SLEEPING,
            f"{live.step} sleeps until {until}.",
            Action.WAIT_FOR_RUN,
            Action.CANCEL_RUN,
            since=live.started_at,
            moves="the time",
            at=live.due_at,
        )
    return cause(
        live,
        Reason.HANDED_ON,
        f"{live.step} has met a process whose code doesn't fit, and is put back until {until} for "
        "one that declares its definition.",
        Action.WAIT_FOR_RUN,
        Action.CANCEL_RUN,
        since=live.started_at,
        moves="its job, on a process that declares its definition",
        at=live.due_at,
        changes=list(live.misfits),
    )


def _retrying(live: Live) -> Cause:
    assert live.error is not None
    attempts = f"attempt {live.attempt + 1}"
    if live.max_attempts is not None:
        attempts += f" of {live.max_attempts}"
    return cause(
        live,
        Reason.RETRYING,
        f"{live.step} failed and is tried again at {shown(live.due_at)}, {attempts}: "
        f"{live.error.type}: {live.error.message}",
        Action.WAIT_FOR_RUN,
        Action.CANCEL_RUN,
        since=live.started_at,
        moves="the time",
        at=live.due_at,
        attempt=live.attempt,
        max_attempts=live.max_attempts,
        **failure(live.error),
    )
