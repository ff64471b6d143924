"""A branch on data, an approval and a merge, over Literal, Enum and bool outputs."""

from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, assert_type

from pydantic import Field

from squid_mesh import (
    Decision,
    Payload,
    RunDetails,
    StepContext,
    Workflow,
    approval,
    complete,
    context,
    optional,
    pause,
    resource,
    step,
    wait,
)

type Risk = Literal["low", "high"]


class Channel(Enum):
    CARD = "card"
    CASH = "cash"


class Bank:
    """What the application talks to."""


class RefundPayload(Payload):
    amount: Decimal
    meta: dict[str, Any] = Field(default_factory=dict)


async def score(bank: Bank, amount: Decimal, meta: dict[str, Any]) -> Risk:
    raise NotImplementedError


def channel(meta: dict[str, Any]) -> Channel:
    raise NotImplementedError


def is_open() -> bool:
    raise NotImplementedError


def refund(context: StepContext, amount: Decimal, approved_by: str | dict[str, Any] | None) -> str:
    raise NotImplementedError


async def record_rejection(reason: str | None, decision: Decision) -> None:
    raise NotImplementedError


class ApproveRefund(Workflow[RefundPayload]):
    triage = step(score).takes(resource(Bank), amount=RefundPayload.amount, meta=RefundPayload.meta)
    routed = step(channel).takes({"source": RefundPayload.meta, "kind": "refund"})
    opened = step(is_open).takes()
    cool_off = wait(timedelta(minutes=5))
    held = pause()
    review = approval(deadline=timedelta(days=2))
    pay = step(refund).takes(
        context, amount=RefundPayload.amount, approved_by=optional(review.output.actor)
    )
    reject = step(record_rejection).takes(review.output.comment, decision=review.output)
    flow = (
        opened.when(True) >> triage,  # noqa: FBT003 (it is the value)
        opened.when(False) >> held >> triage,  # noqa: FBT003 (as above)
        triage.when("low") >> routed,
        triage.when("high") >> cool_off >> review,
        routed.when(Channel.CARD) >> pay >> complete,
        routed >> pay,
        review.on_approved >> pay,
        review.on_rejected >> reject >> complete,
        review.on_timeout >> complete,
    )

    assert_type(routed.output, Channel)
    assert_type(opened.output, bool)
    assert_type(review.output, Decision)
    assert_type(optional(review.output.comment), str | None)


def look(details: RunDetails) -> None:
    risk: Risk = details.output(ApproveRefund.triage)
    assert_type(details.output(ApproveRefund.pay), str)
    assert_type(details.output(ApproveRefund.routed), Channel)
    del risk
