"""Mistakes around branches, gates and `optional`. Both checkers must report each marked line."""

from datetime import timedelta
from typing import Literal

from squid_mesh import Workflow, approval, complete, context, optional, pause, resource, step

from tests.typing.accepted.join import load_account
from tests.typing.accepted.refund import Bank, RefundPayload, channel, is_open
from tests.typing.accepted.refund import record_rejection, refund, score


def shout(text: str) -> str:
    return text.upper()


def narrow(risk: Literal["low"]) -> None: ...


class W(Workflow[RefundPayload]):
    triage = step(score).takes(resource(Bank), RefundPayload.amount, {})
    routed = step(channel).takes({})
    opened = step(is_open).takes()
    account = step(load_account).takes(1, {})
    review = approval(deadline=timedelta(days=2))
    paid = step(refund).takes(context, RefundPayload.amount, "ann")

    # branches
    a1 = triage.when("medium") >> complete  # rejected: a value outside the type
    a2 = triage.when(1) >> complete  # rejected: a value outside the type
    a3 = routed.when("card") >> complete  # rejected: an Enum's value, not its member
    a4 = opened.when("yes") >> complete  # rejected: a value outside the type
    a5 = triage.when() >> complete  # rejected: no value
    a6 = step(narrow).takes(triage.output)  # rejected: more values than the parameter takes

    # gates
    b1 = review >> paid  # rejected: an approval has no plain way out
    b2 = paid >> review >> complete  # rejected: an approval has no plain way out
    b3 = review.on_error >> complete  # rejected: an approval can't fail
    b4 = review.on_ok >> complete  # rejected: an approval has no plain way out
    b5 = paid.on_approved >> complete  # rejected: a step isn't decided on
    b6 = approval(deadline=2)  # rejected: no timedelta
    b7 = review.when("approved") >> complete  # rejected: an approval is not asked for its value
    b8 = pause(deadline=timedelta(days=2))  # rejected: a pause has no deadline
    b9 = step(shout).takes(review.output.reason)  # rejected: unknown part of a decision

    # optional
    c1 = step(shout).takes(optional(paid.output))  # rejected: optional into a parameter of str
    c2 = step(shout).takes(optional(account.output).email)  # rejected: a path out of optional
    c3 = step(shout).takes(review.output.comment)  # rejected: a comment may be None
    c4 = step(record_rejection).takes(None, optional(review.output))  # rejected: optional into Decision
    c5 = step(shout).takes(optional())  # rejected: nothing
