"""Payments: a chain, retries, an error route, a replay, and a cancellation in the middle."""

from examples.minimal_host.reading import attempts
from examples.minimal_host.stage import Stage


async def payment(stage: Stage) -> None:
    """Load, ask the gateway, notify."""
    run = await stage.workflows.start_payment_recovery("invoice-1")
    details = await stage.workflows.wait_for_end(run.id)
    stage.checks.that("status", str(details.status), "completed")
    stage.checks.that("channel", details.context["notification"]["channel"], "email")
    status = details.context["gateway_check"]["status"]
    stage.checks.that("gateway", status, "retry_required")


async def busy_gateway(stage: Stage) -> None:
    """The gateway's 503 is a failed attempt; the next one comes after a second."""
    run = await stage.workflows.start_payment_recovery("busy-1")
    details = await stage.workflows.wait_for_end(run.id)
    stage.checks.that("status", str(details.status), "completed")
    found = attempts(details, "check_gateway_status")
    stage.checks.that("attempts", found, ["failed", "completed"])


async def unknown_invoice(stage: Stage) -> None:
    """A 404 isn't tried again."""
    run = await stage.workflows.start_payment_recovery("unknown-1")
    details = await stage.workflows.wait_for_end(run.id)
    stage.checks.that("status", str(details.status), "completed")
    stage.checks.that("attempts", attempts(details, "check_gateway_status"), ["failed"])
    ticket = "unknown-1: the gateway doesn't know unknown-1"
    stage.checks.that("ticket", details.context["ticket"], ticket)


async def replay(stage: Stage) -> None:
    """A new run with the payload of an old one."""
    source = await stage.workflows.start_payment_recovery("invoice-2")
    await stage.workflows.wait_for_end(source.id)
    run = await stage.workflows.replay_run(source.id)
    details = await stage.workflows.wait_for_end(run.id)
    stage.checks.that("status", str(details.status), "completed")
    stage.checks.that("replays", details.replayed_from == source.id, expected=True)


async def cancelled_in_a_body(stage: Stage) -> None:
    """The body under way may end; nothing follows it."""
    run = await stage.workflows.start_payment_recovery("slow-1")
    await stage.gateway.is_asked_for("slow-1")
    cancelling = await stage.workflows.cancel_run(run.id)
    stage.checks.that("status", str(cancelling.status), "cancelling")
    stage.gateway.let_go()
    details = await stage.workflows.wait_for_end(run.id)
    stage.checks.that("status", str(details.status), "cancelled")
    stage.checks.that("notified", "notification" in details.context, expected=False)
