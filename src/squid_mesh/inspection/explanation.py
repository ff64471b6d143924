"""Why a run is where it is, as a value: what `explain_run` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from squid_mesh.engine.states import RunStatus


class Reason(StrEnum):
    """Why a run, or a step of it, is where it is: closed, and in the order of urgency.

    Of several live steps the first reason in this order is told first: what ends the run, what
    somebody has to act on, what recovery acts on, and what moves by itself.
    """

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    WINDOW_FAILED = "window_failed"
    INTERRUPTED_FOR_GOOD = "interrupted_for_good"
    ATTEMPTS_USED_UP = "attempts_used_up"
    NOT_RETRYABLE = "not_retryable"
    STEP_FAILED = "step_failed"

    CANCELLING = "cancelling"
    FAILING = "failing"

    ADRIFT = "adrift"
    PARKED = "parked"
    INTERRUPTED = "interrupted"
    QUEUE_UNSERVED = "queue_unserved"
    WORKER_MISSING = "worker_missing"
    QUEUE_PAUSED = "queue_paused"
    AWAITING_APPROVAL = "awaiting_approval"
    PAUSED = "paused"

    WORKER_GONE = "worker_gone"
    WORKER_BLOCKED = "worker_blocked"
    JOB_MISSING = "job_missing"

    RETRYING = "retrying"
    RUNNING = "running"
    QUEUED = "queued"
    HANDED_ON = "handed_on"
    SLEEPING = "sleeping"
    WAITING_FOR_DEPENDENCIES = "waiting_for_dependencies"


class Action(StrEnum):
    """What can be done about it: calls of a mesh, and what is done around it."""

    WAIT_FOR_RUN = "wait_for_run"
    CANCEL_RUN = "cancel_run"
    UNBLOCK_RUN = "unblock_run"
    APPROVE_RUN = "approve_run"
    REJECT_RUN = "reject_run"
    RESOLVE_STEP = "resolve_step"
    REPLAY_RUN = "replay_run"
    START_PROCESS = "start_process"
    RESUME_QUEUE = "resume_queue"
    DEPLOY_CODE = "deploy_code"


@dataclass(frozen=True, slots=True)
class NextAction:
    """Something that can safely be done now. `how` is the call, or a sentence if there is none."""

    action: Action
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why one step (or the run as a whole, `step` None) is where it is.

    `moves` says what moves it next, and `moves_at` when, as far as that is known; both are None for
    what has ended. `details` are the facts of the sentence, as JSON.
    """

    reason: Reason
    sentence: str
    step: str | None
    since: datetime | None
    moves: str | None
    moves_at: datetime | None
    details: Mapping[str, Any]
    actions: tuple[NextAction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Cause):
    """Why a run is where it is: the most urgent cause, and after it those of its `other` steps.

    `evidence` is what it was concluded from, as JSON: the run, the step, its job, its worker, who
    serves its queue, and which processes live. It shows no payload, input, output or details of an
    error.
    """

    run_id: UUID
    workflow: str
    status: RunStatus
    evidence: Mapping[str, Any]
    others: tuple[Cause, ...]
