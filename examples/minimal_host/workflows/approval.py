"""Somebody decides about an account, within two days: an approval with a deadline."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from squid_mesh import Decision, Payload, Workflow, approval, complete, step

DEADLINE = timedelta(days=2)


class ApprovalPayload(Payload):
    """Which account is to be decided about."""

    account_id: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of an account, and by whom."""

    account_id: str
    status: Literal["approved", "rejected", "overdue"]
    actor: str | None


def record_approval(account_id: str, decision: Decision) -> Recorded:
    return Recorded(account_id, "approved", str(decision.actor))


def record_rejection(account_id: str, decision: Decision) -> Recorded:
    return Recorded(account_id, "rejected", str(decision.actor))


def escalate(account_id: str) -> Recorded:
    return Recorded(account_id, "overdue", None)


class ManualApproval(Workflow[ApprovalPayload]):
    """Have an account approved by a person."""

    wait_for_approval = approval(deadline=DEADLINE, output="decision")
    record_approval = step(record_approval, output="approval").takes(
        ApprovalPayload.account_id, wait_for_approval.output
    )
    record_rejection = step(record_rejection, output="rejection").takes(
        ApprovalPayload.account_id, wait_for_approval.output
    )
    escalate = step(escalate, output="escalation").takes(ApprovalPayload.account_id)

    flow = (
        wait_for_approval.on_approved >> record_approval >> complete,
        wait_for_approval.on_rejected >> record_rejection >> complete,
        wait_for_approval.on_timeout >> escalate >> complete,
    )
