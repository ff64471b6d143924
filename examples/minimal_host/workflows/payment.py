"""A failed payment is looked up at the gateway, and its customer told: a chain with retries.

What the gateway will never answer takes the error route.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from examples.minimal_host.gateway import Gateway, GatewayStatus, UnknownInvoice
from squid_mesh import (
    Exponential,
    Payload,
    Retry,
    StepFailure,
    Workflow,
    complete,
    resource,
    step,
)


class PaymentPayload(Payload):
    """Whose payment of which invoice failed, and which attempt to pay it was."""

    account_id: str
    invoice_id: str
    attempt_id: str


@dataclass(frozen=True, slots=True)
class Invoice:
    """What is owed, and by whom."""

    id: str
    account_id: str


@dataclass(frozen=True, slots=True)
class GatewayCheck:
    """What the gateway says of an attempt to pay."""

    attempt_id: str
    status: GatewayStatus


@dataclass(frozen=True, slots=True)
class Notification:
    """What a customer is told, and how."""

    account_id: str
    channel: Literal["email"]
    text: str


def load_invoice(account_id: str, invoice_id: str) -> Invoice:
    return Invoice(invoice_id, account_id)


async def check_gateway_status(gateway: Gateway, invoice: Invoice, attempt_id: str) -> GatewayCheck:
    return GatewayCheck(attempt_id, await gateway.status_of(invoice.id))


def notify_customer(invoice: Invoice, check: GatewayCheck) -> Notification:
    text = f"Your payment of {invoice.id} is {check.status.replace('_', ' ')}."
    return Notification(invoice.account_id, "email", text)


def open_ticket(invoice: Invoice, failure: StepFailure) -> str:
    return f"{invoice.id}: {failure.message}"


class PaymentRecovery(Workflow[PaymentPayload]):
    """Recover a failed payment."""

    load_invoice = step(load_invoice).takes(PaymentPayload.account_id, PaymentPayload.invoice_id)
    check_gateway_status = step(
        check_gateway_status,
        output="gateway_check",
        retry=Retry(
            max_attempts=5,
            backoff=Exponential(timedelta(seconds=1), timedelta(seconds=1)),
            stop_on=(UnknownInvoice,),
        ),
    ).takes(resource(Gateway), load_invoice.output, PaymentPayload.attempt_id)
    notify_customer = step(notify_customer, output="notification").takes(
        load_invoice.output, check_gateway_status.output
    )
    open_ticket = step(open_ticket, output="ticket").takes(
        load_invoice.output, check_gateway_status.error
    )

    flow = (
        load_invoice >> check_gateway_status >> notify_customer >> complete,
        check_gateway_status.on_error >> open_ticket >> complete,
    )
