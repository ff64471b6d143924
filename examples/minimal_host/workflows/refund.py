"""A refund, of which a large one is held for a person: a branch, a pause, and a transactional step.

The step that pays writes to the application's own tables. Its writes, its result and what comes
next are one transaction: when the till has too little, no entry is left in the ledger.
"""

from typing import Any, Literal

from psycopg import AsyncConnection

from examples.minimal_host import refunds
from squid_mesh import (
    Payload,
    StepContext,
    StepFailure,
    Workflow,
    complete,
    connection,
    context,
    pause,
    step,
)

SMALL = 100


class RefundPayload(Payload):
    """Which row of `refunds` it is, and its amount in cents."""

    refund_id: int
    amount: int


def triage(amount: int) -> Literal["small", "large"]:
    return "small" if amount <= SMALL else "large"


async def pay(conn: AsyncConnection[Any], context: StepContext, refund_id: int, amount: int) -> int:
    entry = await refunds.enter(conn, refund_id, amount, context.idempotency_key)
    await refunds.take_from_till(conn, amount)  # raises when there is too little in it
    await refunds.settle(conn, refund_id, "paid")
    return entry


async def refuse(conn: AsyncConnection[Any], refund_id: int, failure: StepFailure) -> str:
    await refunds.settle(conn, refund_id, "refused")
    return failure.message


class Refund(Workflow[RefundPayload]):
    """Pay a refund out of the till."""

    triage = step(triage).takes(RefundPayload.amount)
    hold = pause()
    pay = step(pay, output="entry").takes(
        connection(), context, RefundPayload.refund_id, RefundPayload.amount
    )
    refuse = step(refuse, output="reason").takes(connection(), RefundPayload.refund_id, pay.error)

    flow = (
        triage.when("small") >> pay >> complete,
        triage.when("large") >> hold >> pay,
        pay.on_error >> refuse >> complete,
    )
