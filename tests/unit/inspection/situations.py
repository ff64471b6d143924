"""Situations for tests: a run with steps, each a change to one that is all right."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from squid_mesh import RunStatus, StepFailure, StepStatus
from squid_mesh.definition.spec import StepKind
from squid_mesh.inspection.situation import (
    Job,
    Lease,
    Limits,
    Live,
    Producer,
    RunFacts,
    Situation,
)

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(minutes=1)
LATER = NOW + timedelta(days=1)
LIMITS = Limits(
    mesh="mesh",
    queue="q",
    lease=timedelta(seconds=10),
    blocked=timedelta(seconds=60),
    overdue=timedelta(seconds=5),
)
ERROR = StepFailure(type="TimeoutError", message="too slow", step="work", attempt=2)
LEASE = Lease(
    boot=1,
    mesh="mesh",
    node="here",
    pid=7,
    alive_at=NOW,
    loop_at=NOW,
    knows_definition=True,
    knows_actions=frozenset(),
)
PRODUCER = Producer(queue="q", name="oban", node="here", paused=False, limit=10, seen_at=NOW)
JOB = Job(
    id=5,
    state="available",
    worker="squid_mesh.mesh",
    scheduled_at=BEFORE,
    attempted_at=None,
    attempted_by=None,
    ahead=0,
)


def run(**changes: Any) -> RunFacts:
    """A run under way."""
    facts = RunFacts(
        id=UUID(int=1),
        workflow="Orders",
        definition="v",
        trigger="manual",
        status=RunStatus.RUNNING,
        window=None,
        error=None,
        failed_at=None,
        max_attempts=None,
        inserted_at=BEFORE,
        updated_at=BEFORE,
        ended_at=None,
        cancel_requested_at=None,
        cancelled_by=None,
        cancel_comment=None,
    )
    return replace(facts, **changes)


def live(status: StepStatus = StepStatus.RUNNING, **changes: Any) -> Live:
    """A step under way on a process that lives; with another status, one that is due."""
    step = Live(
        step="work",
        kind=StepKind.ACTION,
        status=status,
        attempt=1,
        max_attempts=None,
        on_interrupt="retry",
        queue="q",
        error=None,
        due_at=None if status is StepStatus.RUNNING else BEFORE,
        started_at=BEFORE,
        needs=None,
        misfits=(),
        waits_for=(),
        interruptions=0,
        interrupted_at=None,
        job=JOB,
        claim=1,
        lease=LEASE,
    )
    return replace(step, **changes)


def situation(*steps: Live, of: RunFacts | None = None, **changes: Any) -> Situation:
    """Those steps of a run, on a host where everything is all right."""
    whole = Situation(
        at=NOW,
        clock=NOW,
        limits=LIMITS,
        run=of or run(),
        steps=steps,
        leases=(LEASE,),
        producers={"q": (PRODUCER,)},
    )
    return replace(whole, **changes)
