"""A dependency workflow: a join over TypedDict and pydantic outputs, and order without data."""

from datetime import timedelta
from typing import Any, NamedTuple, TypedDict, assert_type

from pydantic import BaseModel, Field

from squid_mesh import Mesh, NoPayload, Payload, RunDetails, Workflow, log, pause, step, wait


class Invoice(TypedDict):
    amount: int
    lines: list[dict[str, Any]]


class Account(BaseModel):
    email: str
    settings: dict[str, Any] = Field(default_factory=dict)


class Place(NamedTuple):
    street: str
    number: int


class NotificationPayload(Payload):
    account_id: int
    invoice_id: int
    delay: timedelta = timedelta(minutes=5)
    meta: dict[str, Any] = Field(default_factory=dict)


async def load_account(account_id: int, meta: dict[str, Any]) -> Account:
    raise NotImplementedError


def load_invoice(invoice_id: int) -> Invoice:
    raise NotImplementedError


def find(account_id: int) -> Place:
    raise NotImplementedError


async def notify(email: str, amount: int, extra: dict[str, Any], street: str) -> bool:
    raise NotImplementedError


def archive(invoice_id: int, copies: int = 1) -> None:
    raise NotImplementedError


class PrepareNotification(Workflow[NotificationPayload]):
    account = step(load_account).takes(
        account_id=NotificationPayload.account_id, meta=NotificationPayload.meta
    )
    invoice = step(load_invoice).takes(NotificationPayload.invoice_id)
    place = step(find).takes(NotificationPayload.account_id)
    notified = step(notify).takes(
        email=account.output.email,
        amount=invoice.output["amount"],
        extra={"settings": account.output.settings, "first": invoice.output["lines"][0]},
        street=place.output.street,
    )
    rested = wait(NotificationPayload.delay, after=[notified])
    checked = pause(after=[rested, place])
    archived = step(archive, after=[checked]).takes(NotificationPayload.invoice_id)
    told = log("Archived", after=[archived])

    assert_type(account.output, Account)
    assert_type(invoice.output, Invoice)
    assert_type(invoice.output["amount"], int)
    assert_type(place.output.number, int)
    assert_type(notified.output, bool)


class Nightly(Workflow[NoPayload]):
    archived = step(archive).takes(3)


async def run(mesh: Mesh, details: RunDetails) -> None:
    await mesh.start_run(
        PrepareNotification, NotificationPayload(account_id=1, invoice_id=2), tags={"team": "a"}
    )
    await mesh.start_run(Nightly)
    await mesh.start_run(Nightly, NoPayload())
    await mesh.start_runs(PrepareNotification, [NotificationPayload(account_id=1, invoice_id=2)])
    assert_type(details.output(PrepareNotification.account).email, str)
    assert_type(details.output(PrepareNotification.invoice)["amount"], int)
