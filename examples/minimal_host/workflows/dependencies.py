"""Two independent look-ups and what needs them both: a join, made by its wires."""

from dataclasses import dataclass

from squid_mesh import Payload, Workflow, step


class RecoveryPayload(Payload):
    """Whose invoice it is."""

    account_id: str
    invoice_id: str


@dataclass(frozen=True, slots=True)
class Account:
    """A customer."""

    id: str
    email: str


@dataclass(frozen=True, slots=True)
class Debt:
    """What an invoice asks for, in cents."""

    invoice_id: str
    amount: int


def load_account(account_id: str) -> Account:
    return Account(account_id, f"{account_id}@example.com")


def load_invoice(invoice_id: str) -> Debt:
    return Debt(invoice_id, 4200)


def prepare_notification(email: str, debt: Debt) -> str:
    return f"To {email}: {debt.invoice_id} is {debt.amount / 100:.2f}"


class DependencyRecovery(Workflow[RecoveryPayload]):
    """Prepare a notification from an account and an invoice."""

    load_account = step(load_account).takes(RecoveryPayload.account_id)
    load_invoice = step(load_invoice).takes(RecoveryPayload.invoice_id)
    prepare_notification = step(prepare_notification, output="notification").takes(
        load_account.output.email, load_invoice.output
    )
