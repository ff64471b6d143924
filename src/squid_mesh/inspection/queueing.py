"""Why a step that is ready hasn't begun: its job, its queue, and who serves it. Pure."""

from __future__ import annotations

from squid_mesh.inspection.explanation import Action, Cause, Reason
from squid_mesh.inspection.situation import Job, Live, Situation
from squid_mesh.inspection.wording import cause, jobs, listed, shown

_GONE = frozenset({"completed", "cancelled", "discarded"})
"""States of a job that delivers nothing any more."""

_LATER = frozenset({"scheduled", "retryable"})


def ready(live: Live, situation: Situation) -> Cause:
    """Why a step that is ready hasn't begun."""
    job = live.job
    if job is None or job.state in _GONE or _is_late(job, situation):
        return _without_job(live, situation)
    if job.state == "executing":
        return _queued(live, f"its job has just been taken by {job.attempted_by}", situation, 0)
    return _in_queue(live, job, situation)


def _in_queue(live: Live, job: Job, situation: Situation) -> Cause:
    serving = situation.producers.get(live.queue, ())
    if not serving:
        return _unserved(live)
    if not any(lease.mesh == job.mesh for lease in situation.leases):
        return _workerless(live, job)
    if all(producer.paused for producer in serving):
        return _held_up(live, [producer.node for producer in serving])
    if job.state in _LATER:
        return _queued(live, f"its job was put back until {shown(job.scheduled_at)}", situation, 0)
    place = f"{jobs(job.ahead)} ahead of it in queue {live.queue!r}"
    return _queued(live, place, situation, job.ahead)


def _is_late(job: Job, situation: Situation) -> bool:
    """Whether the sweep for steps without a job would replace this one."""
    limits, now = situation.limits, situation.clock
    if job.state == "executing":
        return job.attempted_at is None or job.attempted_at + limits.lease < now
    return job.state in _LATER and job.scheduled_at > now + limits.overdue


def _queued(live: Live, place: str, situation: Situation, ahead: int) -> Cause:
    return cause(
        live,
        Reason.QUEUED,
        f"{live.step} is ready: {place}.",
        Action.WAIT_FOR_RUN,
        Action.CANCEL_RUN,
        since=live.due_at,
        moves="its turn in the queue",
        queue=live.queue,
        ahead=ahead,
        limit=sum(producer.limit for producer in situation.producers.get(live.queue, ())),
    )


def _without_job(live: Live, situation: Situation) -> Cause:
    state = "gone" if live.job is None else live.job.state
    several: tuple[Action, ...] = (Action.WAIT_FOR_RUN, Action.CANCEL_RUN)
    moves, at = "the recovery of any living process, which makes a new one", None
    if live.due_at is not None:
        at = max(live.due_at + situation.limits.overdue, situation.at)
    if not situation.leases:
        several = (Action.START_PROCESS, *several)
        moves, at = "the recovery of a process, once there is one: it makes a new one", None
    return cause(
        live,
        Reason.JOB_MISSING,
        f"{live.step} is ready, but its job is {state} and delivers it no more.",
        *several,
        since=live.due_at,
        moves=moves,
        at=at,
        job=state,
    )


def _unserved(live: Live) -> Cause:
    return cause(
        live,
        Reason.QUEUE_UNSERVED,
        f"{live.step} is ready, but no process serves queue {live.queue!r}.",
        Action.START_PROCESS,
        Action.CANCEL_RUN,
        since=live.due_at,
        moves=f"a process whose Oban serves queue {live.queue!r}",
        queue=live.queue,
    )


def _workerless(live: Live, job: Job) -> Cause:
    return cause(
        live,
        Reason.WORKER_MISSING,
        f"{live.step} is ready and its queue {live.queue!r} is served, but no process of mesh "
        f"{job.mesh!r} lives.",
        Action.START_PROCESS,
        Action.CANCEL_RUN,
        since=live.due_at,
        moves=f"a process of mesh {job.mesh!r}",
        queue=live.queue,
        mesh=job.mesh,
    )


def _held_up(live: Live, nodes: list[str]) -> Cause:
    return cause(
        live,
        Reason.QUEUE_PAUSED,
        f"{live.step} is ready, but queue {live.queue!r} is paused on {listed(nodes)}.",
        Action.RESUME_QUEUE,
        Action.CANCEL_RUN,
        since=live.due_at,
        moves="the queue, once it is resumed",
        queue=live.queue,
        nodes=nodes,
    )
