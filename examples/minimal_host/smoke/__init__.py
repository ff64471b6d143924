"""`smoke`: a run of everything that the application does, and what came of it."""

from collections.abc import Awaitable, Callable, Mapping

from examples.minimal_host.application import running
from examples.minimal_host.checks import Checks
from examples.minimal_host.gateway_stub import GatewayStub
from examples.minimal_host.stage import Stage

from . import approvals, delays, dependencies, money, payments

SCENARIOS: Mapping[str, Callable[[Stage], Awaitable[None]]] = {
    "A payment is recovered (chain)": payments.payment,
    "The gateway is busy at first (retry)": payments.busy_gateway,
    "The gateway doesn't know the invoice (error route)": payments.unknown_invoice,
    "A notification needs an account and an invoice (join)": dependencies.dependencies,
    "The schedule fires (cron)": delays.cron,
    "A step fails once (retry, a minute later)": delays.retry,
    "An account is approved (approval)": approvals.approved,
    "An account is rejected (approval)": approvals.rejected,
    "A payment is recovered once more (replay)": payments.replay,
    "A delivery comes (wait)": delays.delivery,
    "A delivery is called off (cancel, asleep)": delays.cancelled_asleep,
    "A payment is called off (cancel, a body under way)": payments.cancelled_in_a_body,
    "A small refund is paid (branch, transactional step)": money.small_refund,
    "A large refund waits for a person (branch, pause)": money.large_refund,
    "The till is short (rollback of a step, error route)": money.short_till,
    "The application rolls back (start in its transaction)": money.rolled_back,
    "Nobody decides in time (deadline)": approvals.overdue,
}


async def smoke(dsn: str, checks: Checks) -> None:
    """Play every scenario, one after the other."""
    gateway = GatewayStub()
    with gateway.serving() as url:
        async with running(dsn, url) as app:
            for title, scenario in SCENARIOS.items():
                with checks.about(title):
                    await scenario(Stage(app, gateway, checks))
