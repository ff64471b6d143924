"""How facts are said: times, lists, errors, calls, and the evidence of an explanation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from squid_mesh.definition.handed import StepFailure
from squid_mesh.inspection.explanation import Action, Cause, NextAction, Reason
from squid_mesh.inspection.situation import MOST_AHEAD, Job, Lease, Live, Producer, Situation


def shown(moment: datetime | None) -> str | None:
    """A moment, to the second."""
    return None if moment is None else moment.isoformat(sep=" ", timespec="seconds")


def listed(names: Sequence[object]) -> str:
    """Names in a sentence."""
    *most, last = names or ["nothing"]
    return f"{', '.join(map(str, most))} and {last}" if most else str(last)


def span(duration: timedelta) -> str:
    """A duration, in whole seconds."""
    return f"{round(duration.total_seconds())} s"


def jobs(ahead: int) -> str:
    """How many jobs."""
    if ahead >= MOST_AHEAD:
        return f"{MOST_AHEAD:,} jobs or more are"
    return f"{ahead:,} jobs are" if ahead != 1 else "1 job is"


def failure(error: StepFailure) -> dict[str, Any]:
    """An error, without its details."""
    return {
        "error": {
            "type": error.type,
            "message": error.message,
            "code": error.code,
            "step": error.step,
            "attempt": error.attempt,
        }
    }


def actions(
    *several: Action, step: str | None = None, queue: str = "", needs: str | None = None
) -> tuple[NextAction, ...]:
    """What can be done, each with how."""
    return tuple(NextAction(one, _how(one, step, queue, needs)) for one in several)


def cause(
    live: Live,
    reason: Reason,
    sentence: str,
    *several: Action,
    since: datetime | None,
    moves: str,
    at: datetime | None = None,
    **details: Any,
) -> Cause:
    """The cause of a live step; `details` are the facts of its sentence."""
    return Cause(
        reason=reason,
        sentence=sentence,
        step=live.step,
        since=since,
        moves=moves,
        moves_at=at,
        details=details,
        actions=actions(*several, step=live.step, queue=live.queue, needs=live.needs),
    )


def _how(action: Action, step: str | None, queue: str, needs: str | None) -> str:
    call = f"mesh.{action}"
    return _HOW[action].format(call=call, step=repr(step), queue=repr(queue), needs=needs)


_GATE = "{call}(run_id, actor=…, step={step})"
_HOW = {
    Action.WAIT_FOR_RUN: "{call}(run_id, timeout=…)",
    Action.CANCEL_RUN: "{call}(run_id, actor=…)",
    Action.REPLAY_RUN: "{call}(run_id, actor=…)",
    Action.UNBLOCK_RUN: _GATE,
    Action.APPROVE_RUN: _GATE,
    Action.REJECT_RUN: _GATE,
    Action.RESOLVE_STEP: '{call}(run_id, "retry" | "complete" | "fail", actor=…, step={step})',
    Action.START_PROCESS: "start a process of this mesh whose Oban serves queue {queue}",
    Action.RESUME_QUEUE: "oban.resume_queue({queue})",
    Action.DEPLOY_CODE: "start a process with code for {needs} that fits the run's wires",
}


def evidence(situation: Situation, step: str | None) -> dict[str, Any]:
    """What an explanation was concluded from."""
    run = situation.run
    live = next((live for live in situation.steps if live.step == step), None)
    queue = None if live is None else live.queue
    return {
        "at": shown(situation.at),
        "run": {
            "id": str(run.id),
            "status": run.status,
            "definition": run.definition,
            "inserted_at": shown(run.inserted_at),
            "updated_at": shown(run.updated_at),
            "ended_at": shown(run.ended_at),
        },
        "step": live and _step(live),
        "job": live and live.job and _job(live.job),
        "worker": live and live.lease and _lease(live.lease),
        "queue": queue and [_producer(one) for one in situation.producers.get(queue, ())],
        "processes": [_lease(lease) for lease in situation.leases],
    }


def _step(live: Live) -> dict[str, Any]:
    return {
        "step": live.step,
        "kind": live.kind,
        "status": live.status,
        "attempt": live.attempt,
        "queue": live.queue,
        "due_at": shown(live.due_at),
        "started_at": shown(live.started_at),
        "needs": live.needs,
        "interruptions": live.interruptions,
    }


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "worker": job.worker,
        "scheduled_at": shown(job.scheduled_at),
        "attempted_at": shown(job.attempted_at),
        "attempted_by": job.attempted_by,
        "ahead": job.ahead,
    }


def _lease(lease: Lease) -> dict[str, Any]:
    return {
        "process": lease.name,
        "mesh": lease.mesh,
        "alive_at": shown(lease.alive_at),
        "loop_at": shown(lease.loop_at),
        "knows_definition": lease.knows_definition,
        "knows_actions": sorted(lease.knows_actions),
    }


def _producer(producer: Producer) -> dict[str, Any]:
    return {
        "oban": producer.name,
        "node": producer.node,
        "paused": producer.paused,
        "limit": producer.limit,
        "seen_at": shown(producer.seen_at),
    }
