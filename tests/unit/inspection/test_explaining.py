"""What is concluded from a situation, case by case."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from squid_mesh import Action, Reason, RunStatus, StepStatus
from squid_mesh.definition.spec import StepKind
from squid_mesh.inspection.explaining import explain
from squid_mesh.inspection.situation import MOST_AHEAD, Situation
from tests.unit.inspection.situations import (
    BEFORE,
    ERROR,
    JOB,
    LATER,
    LEASE,
    NOW,
    PRODUCER,
    live,
    run,
    situation,
)

WAIT, CANCEL = Action.WAIT_FOR_RUN, Action.CANCEL_RUN
SECOND = timedelta(seconds=1)
SILENT = replace(LEASE, alive_at=NOW - 11 * SECOND)
BLOCKED = replace(LEASE, loop_at=NOW - 20 * SECOND)
PAUSED_QUEUE = {"q": (replace(PRODUCER, paused=True), replace(PRODUCER, paused=True, node="there"))}
FAILED = {"status": RunStatus.FAILED, "error": ERROR, "ended_at": NOW}
PENDING, SCHEDULED, PAUSED = StepStatus.PENDING, StepStatus.SCHEDULED, StepStatus.PAUSED


def ready(**job: Any) -> Situation:
    return situation(live(PENDING, job=replace(JOB, **job)))


# name: situation, reason, what its sentence says, actions, when it moves
CASES: dict[str, tuple[Situation, Reason, str, tuple[Action, ...], Any]] = {
    "completed": (
        situation(of=run(status=RunStatus.COMPLETED, ended_at=NOW)),
        Reason.COMPLETED,
        "It has completed.",
        (Action.REPLAY_RUN,),
        None,
    ),
    "cancelled": (
        situation(of=run(status=RunStatus.CANCELLED, ended_at=NOW, cancelled_by="ada")),
        Reason.CANCELLED,
        "It was cancelled by ada.",
        (Action.REPLAY_RUN,),
        None,
    ),
    "cancelled by nobody": (
        situation(of=run(status=RunStatus.CANCELLED, ended_at=NOW)),
        Reason.CANCELLED,
        "It was cancelled.",
        (Action.REPLAY_RUN,),
        None,
    ),
    "a window without a payload": (
        situation(of=run(**FAILED | {"error": replace(ERROR, step=""), "window": BEFORE})),
        Reason.WINDOW_FAILED,
        "Its cron window has no payload: TimeoutError: too slow",
        (Action.REPLAY_RUN,),
        None,
    ),
    "interrupted for good": (
        situation(of=run(**FAILED | {"error": replace(ERROR, code="interrupted")})),
        Reason.INTERRUPTED_FOR_GOOD,
        "work was interrupted, and isn't to be tried again: TimeoutError",
        (Action.REPLAY_RUN,),
        None,
    ),
    "not retryable": (
        situation(of=run(**FAILED | {"error": replace(ERROR, retryable=False)})),
        Reason.NOT_RETRYABLE,
        "work failed in a way that trying again can't help",
        (Action.REPLAY_RUN,),
        None,
    ),
    "attempts used up": (
        situation(of=run(**FAILED, max_attempts=2)),
        Reason.ATTEMPTS_USED_UP,
        "work failed, and its 2 attempts are used up: TimeoutError: too slow",
        (Action.REPLAY_RUN,),
        None,
    ),
    "stopped before its attempts were used up": (
        situation(of=run(**FAILED, max_attempts=3)),
        Reason.STEP_FAILED,
        "work failed, and isn't tried again for that",
        (Action.REPLAY_RUN,),
        None,
    ),
    "failed without a retry policy": (
        situation(of=run(**FAILED)),
        Reason.STEP_FAILED,
        "work failed, and isn't tried again for that",
        (Action.REPLAY_RUN,),
        None,
    ),
    "cancelling": (
        situation(
            live(),
            live(step="other"),
            live(StepStatus.WAITING, step="third", waits_for=("work",)),
            of=run(status=RunStatus.CANCELLING, cancel_requested_at=BEFORE),
        ),
        Reason.CANCELLING,
        "It was cancelled, and ends with its bodies: work and other.",
        (WAIT,),
        None,
    ),
    "failing": (
        situation(live(step="other"), of=run(error=ERROR, failed_at=BEFORE)),
        Reason.FAILING,
        "work failed, and the run fails with the end of its bodies: other.",
        (WAIT, CANCEL),
        None,
    ),
    "nothing lives": (
        situation(),
        Reason.ADRIFT,
        "No step of it is alive",
        (CANCEL, Action.REPLAY_RUN),
        None,
    ),
    "only what waits lives": (
        situation(live(StepStatus.WAITING, waits_for=("gone",))),
        Reason.ADRIFT,
        "No step of it is alive",
        (CANCEL, Action.REPLAY_RUN),
        None,
    ),
    "parked": (
        situation(
            live(PENDING, needs="billing:load", due_at=None, misfits=("parameter 'x' is gone",)),
            leases=(replace(LEASE, knows_actions=frozenset({"billing:load"})),),
        ),
        Reason.PARKED,
        "code that can call billing:load as work wires it: parameter 'x' is gone.",
        (Action.DEPLOY_CODE, CANCEL),
        None,
    ),
    "parked for a value": (
        situation(live(PENDING, needs="billing:load", due_at=None)),
        Reason.PARKED,
        "this process has code that would, unless a value that is stored no longer fits it.",
        (Action.DEPLOY_CODE, CANCEL),
        None,
    ),
    "interrupted": (
        situation(live(PAUSED, error=ERROR, interruptions=1, interrupted_at=NOW)),
        Reason.INTERRUPTED,
        "The worker of work died in the middle of it",
        (Action.RESOLVE_STEP, CANCEL),
        None,
    ),
    "paused": (
        situation(live(PAUSED, kind=StepKind.PAUSE, due_at=None)),
        Reason.PAUSED,
        "It waits at work until somebody lets it go on.",
        (Action.UNBLOCK_RUN, CANCEL),
        None,
    ),
    "an approval": (
        situation(live(PAUSED, kind=StepKind.APPROVAL, due_at=None)),
        Reason.AWAITING_APPROVAL,
        "It waits for somebody to approve or reject work.",
        (Action.APPROVE_RUN, Action.REJECT_RUN, CANCEL),
        None,
    ),
    "an approval with a deadline": (
        situation(live(PAUSED, kind=StepKind.APPROVAL, due_at=LATER)),
        Reason.AWAITING_APPROVAL,
        "approve or reject work, until 2026-05-05 12:00:00+00:00 at the latest.",
        (Action.APPROVE_RUN, Action.REJECT_RUN, CANCEL),
        LATER,
    ),
    "an approval whose deadline has passed": (
        situation(live(PAUSED, kind=StepKind.APPROVAL, due_at=NOW)),
        Reason.AWAITING_APPROVAL,
        "but its deadline, 2026-05-04 12:00:00+00:00, has passed.",
        (Action.APPROVE_RUN, Action.REJECT_RUN, CANCEL),
        NOW,
    ),
    "running": (
        situation(live()),
        Reason.RUNNING,
        "work runs on here (7), attempt 1.",
        (WAIT, CANCEL),
        None,
    ),
    "a dead lease": (
        situation(live(lease=SILENT)),
        Reason.WORKER_GONE,
        "work was begun by here (7), which gives no sign of life any more.",
        (WAIT, CANCEL),
        SILENT.alive_at + 10 * SECOND,
    ),
    "a dead lease, and nobody lives": (
        situation(live(lease=SILENT), leases=()),
        Reason.WORKER_GONE,
        "which gives no sign of life any more.",
        (Action.START_PROCESS, WAIT, CANCEL),
        None,
    ),
    "a lease that is forgotten": (
        situation(live(lease=None, on_interrupt="pause")),
        Reason.WORKER_GONE,
        "a process that nobody remembers",
        (WAIT, CANCEL),
        NOW,
    ),
    "a blocked loop": (
        situation(live(lease=BLOCKED)),
        Reason.WORKER_BLOCKED,
        "whose event loop hasn't answered for 20 s: something blocks it.",
        (WAIT, CANCEL),
        BLOCKED.loop_at + 60 * SECOND,
    ),
    "retrying": (
        situation(live(SCHEDULED, error=ERROR, due_at=LATER, max_attempts=5, attempt=2)),
        Reason.RETRYING,
        "tried again at 2026-05-05 12:00:00+00:00, attempt 3 of 5: TimeoutError: too slow",
        (WAIT, CANCEL),
        LATER,
    ),
    "retrying by a policy that is gone": (
        situation(live(SCHEDULED, error=ERROR, due_at=LATER)),
        Reason.RETRYING,
        "attempt 2: TimeoutError",
        (WAIT, CANCEL),
        LATER,
    ),
    "sleeping": (
        situation(live(SCHEDULED, kind=StepKind.WAIT, due_at=LATER)),
        Reason.SLEEPING,
        "work sleeps until 2026-05-05 12:00:00+00:00.",
        (WAIT, CANCEL),
        LATER,
    ),
    "handed on": (
        situation(live(SCHEDULED, due_at=LATER, misfits=("the output is of another type",))),
        Reason.HANDED_ON,
        "work has met a process whose code doesn't fit",
        (WAIT, CANCEL),
        LATER,
    ),
    "waiting beside one that runs": (
        situation(live(StepStatus.WAITING, step="last", waits_for=("work", "other")), live()),
        Reason.RUNNING,
        "work runs",
        (WAIT, CANCEL),
        None,
    ),
    "queued": (
        ready(ahead=12),
        Reason.QUEUED,
        "12 jobs are ahead of it in queue 'q'",
        (WAIT, CANCEL),
        None,
    ),
    "queued behind one": (ready(ahead=1), Reason.QUEUED, "1 job is ahead", (WAIT, CANCEL), None),
    "queued behind many": (
        ready(ahead=MOST_AHEAD),
        Reason.QUEUED,
        "10,000 jobs or more are ahead",
        (WAIT, CANCEL),
        None,
    ),
    "a retry whose time has come": (
        situation(live(SCHEDULED, error=ERROR, due_at=BEFORE)),
        Reason.QUEUED,
        "0 jobs are ahead",
        (WAIT, CANCEL),
        None,
    ),
    "taken just now": (
        ready(state="executing", attempted_at=NOW, attempted_by="here"),
        Reason.QUEUED,
        "its job has just been taken by here",
        (WAIT, CANCEL),
        None,
    ),
    "put back": (
        ready(state="scheduled", scheduled_at=NOW + SECOND),
        Reason.QUEUED,
        "its job was put back until 2026-05-04 12:00:01+00:00",
        (WAIT, CANCEL),
        None,
    ),
    "put back for long": (
        ready(state="scheduled", scheduled_at=LATER),
        Reason.JOB_MISSING,
        "its job is scheduled and delivers it no more",
        (WAIT, CANCEL),
        NOW,
    ),
    "taken, and never begun": (
        ready(state="executing", attempted_at=NOW - 11 * SECOND),
        Reason.JOB_MISSING,
        "its job is executing",
        (WAIT, CANCEL),
        NOW,
    ),
    "taken at no time": (
        ready(state="executing"),
        Reason.JOB_MISSING,
        "its job is executing",
        (WAIT, CANCEL),
        NOW,
    ),
    "discarded": (
        ready(state="discarded"),
        Reason.JOB_MISSING,
        "is discarded",
        (WAIT, CANCEL),
        NOW,
    ),
    "without a job": (
        situation(live(PENDING, job=None, due_at=NOW)),
        Reason.JOB_MISSING,
        "its job is gone",
        (WAIT, CANCEL),
        NOW + 5 * SECOND,
    ),
    "without a job and a time": (
        situation(live(PENDING, job=None, due_at=None)),
        Reason.JOB_MISSING,
        "its job is gone",
        (WAIT, CANCEL),
        None,
    ),
    "without a job, and nobody lives": (
        situation(live(PENDING, job=None), leases=()),
        Reason.JOB_MISSING,
        "its job is gone",
        (Action.START_PROCESS, WAIT, CANCEL),
        None,
    ),
    "a queue that nobody serves": (
        situation(live(PENDING), producers={}),
        Reason.QUEUE_UNSERVED,
        "no process serves queue 'q'",
        (Action.START_PROCESS, CANCEL),
        None,
    ),
    "a queue served by others than the mesh": (
        situation(live(PENDING), leases=(replace(LEASE, mesh="other"),)),
        Reason.WORKER_MISSING,
        "no process of mesh 'mesh' lives",
        (Action.START_PROCESS, CANCEL),
        None,
    ),
    "a paused queue": (
        situation(live(PENDING), producers=PAUSED_QUEUE),
        Reason.QUEUE_PAUSED,
        "queue 'q' is paused on here and there",
        (Action.RESUME_QUEUE, CANCEL),
        None,
    ),
    "a queue paused on one node": (
        situation(live(PENDING), producers={"q": (PRODUCER, PAUSED_QUEUE["q"][0])}),
        Reason.QUEUED,
        "0 jobs are ahead",
        (WAIT, CANCEL),
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_situation_is_explained(case: str) -> None:
    given, reason, says, actions, moves_at = CASES[case]
    found = explain(given)
    assert (found.reason, tuple(a.action for a in found.actions)) == (reason, actions)
    assert says in found.sentence
    assert found.moves_at == moves_at
    assert (found.moves is None) == (
        reason is Reason.ADRIFT or found.status in {"completed", "failed", "cancelled"}
    )
    assert (found.run_id, found.workflow, found.status) == (
        given.run.id,
        given.run.workflow,
        given.run.status,
    )
    json.dumps([found.details, found.evidence])  # what is shown is JSON


def test_every_reason_has_a_case() -> None:
    told = {explain(given).reason for given, *_ in CASES.values()}
    told |= {cause.reason for given, *_ in CASES.values() for cause in explain(given).others}
    assert told == set(Reason)


def test_the_most_urgent_step_is_told_first_and_the_others_after_it() -> None:
    given = situation(
        live(step="d"),
        live(PENDING, step="c", job=None),
        live(StepStatus.WAITING, step="e", waits_for=("d",)),
        live(PAUSED, step="b", kind=StepKind.PAUSE, due_at=None),
        live(PENDING, step="a", needs="m:f", due_at=None),
        live(SCHEDULED, step="f", kind=StepKind.WAIT, due_at=LATER),
    )
    found = explain(given)
    assert [found.step, *(cause.step for cause in found.others)] == ["a", "b", "c", "d", "f", "e"]


def test_an_action_says_how() -> None:
    found = explain(situation(live(PAUSED, step="review", kind=StepKind.APPROVAL, due_at=None)))
    assert [action.how for action in found.actions] == [
        "mesh.approve_run(run_id, actor=…, step='review')",
        "mesh.reject_run(run_id, actor=…, step='review')",
        "mesh.cancel_run(run_id, actor=…)",
    ]


def test_every_action_is_somebody_s_next_one() -> None:
    told = {action.action for given, *_ in CASES.values() for action in explain(given).actions}
    assert told == set(Action)


def test_evidence_is_of_the_step_that_is_told_first() -> None:
    evidence = explain(situation(live(PENDING), live(step="other"))).evidence
    assert evidence["step"]["step"] == "other"
    assert evidence["worker"]["process"] == "here (7)"
    assert evidence["queue"] == [
        {
            "oban": "oban",
            "node": "here",
            "paused": False,
            "limit": 10,
            "seen_at": "2026-05-04 12:00:00+00:00",
        }
    ]
    whole = explain(situation(of=run(status=RunStatus.COMPLETED, ended_at=NOW))).evidence
    assert (whole["step"], whole["job"], whole["worker"], whole["queue"]) == (None,) * 4
