"""The application's boundary to its workflows: a call for each thing it does with them.

Nothing else of the application knows classes of workflows, or that it is Squid Mesh that runs them.
Runs are named by their ids, and read as `Run` and `RunDetails`. What a call raises, it raises
before anything is written.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from squid_mesh import (
    ENDED,
    Attempt,
    Mesh,
    Run,
    RunDetails,
    RunNotFound,
    RunStatus,
    StepStatus,
    WaitTimeout,
)

from . import workflows
from .workflows.approval import DEADLINE as APPROVAL_DEADLINE
from .workflows.approval import ApprovalPayload
from .workflows.delivery import DeliveryPayload
from .workflows.dependencies import RecoveryPayload
from .workflows.payment import PaymentPayload
from .workflows.refund import RefundPayload
from .workflows.retry import BACKOFF as RETRY_BACKOFF
from .workflows.retry import RetryPayload

__all__ = [
    "APPROVAL_DEADLINE",
    "QUEUE",
    "RETRY_BACKOFF",
    "Attempt",
    "Run",
    "RunDetails",
    "WorkflowsApi",
]

QUEUE = "squid_mesh"
"""The queue of every step; an Oban that serves it works on runs."""

HEARTBEAT = timedelta(seconds=0.5)
LEASE = timedelta(seconds=2)
"""Shorter than a mesh has them unless told: whoever watches shan't wait for ten seconds."""

PATIENCE = timedelta(seconds=30)
"""How long a call waits for what must come. It then answers with what is."""

GLANCE = timedelta(milliseconds=20)


class WorkflowsApi:
    """What the application can do with its workflows: `async with oban, api:`."""

    def __init__(
        self, pool: AsyncConnectionPool, oban: Oban, *, resources: Iterable[object]
    ) -> None:
        self._mesh = Mesh(
            pool,
            oban=oban,
            workflows=workflows.ALL,
            queue=QUEUE,
            resources=resources,
            heartbeat=HEARTBEAT,
            lease=LEASE,
        )

    async def __aenter__(self) -> Self:
        """Start."""
        await self._mesh.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let steps under way end, and stop."""
        await self._mesh.stop()

    async def install(self) -> None:
        """Create the tables of Oban and of the workflows where they are missing."""
        await self._mesh.install()

    # starting

    async def start_payment_recovery(self, invoice_id: str) -> Run:
        """Recover the failed payment of an invoice."""
        payload = PaymentPayload(account_id="acct_1", invoice_id=invoice_id, attempt_id="attempt_1")
        return await self._mesh.start_run(workflows.PaymentRecovery, payload)

    async def start_payment_recoveries(self, invoice_ids: Iterable[str]) -> list[Run]:
        """Recover several, all or none."""
        payloads = [
            PaymentPayload(account_id="acct_1", invoice_id=each, attempt_id="attempt_1")
            for each in invoice_ids
        ]
        return await self._mesh.start_runs(workflows.PaymentRecovery, payloads)

    async def start_dependency_recovery(self, account_id: str, invoice_id: str) -> Run:
        """Prepare a notification."""
        payload = RecoveryPayload(account_id=account_id, invoice_id=invoice_id)
        return await self._mesh.start_run(workflows.DependencyRecovery, payload)

    async def start_manual_approval(self, account_id: str) -> Run:
        """Have an account approved."""
        payload = ApprovalPayload(account_id=account_id)
        return await self._mesh.start_run(workflows.ManualApproval, payload)

    async def start_cancellable_wait(self, delay: timedelta) -> Run:
        """Deliver after `delay`."""
        return await self._mesh.start_run(workflows.CancellableWait, DeliveryPayload(delay=delay))

    async def start_retry_verification(self, attempt_id: str) -> Run:
        """Fail once."""
        return await self._mesh.start_run(
            workflows.RetryVerification, RetryPayload(attempt_id=attempt_id)
        )

    async def start_refund(self, conn: AsyncConnection[Any], refund_id: int, amount: int) -> Run:
        """Pay a refund. The run exists if and only if the caller's transaction commits."""
        payload = RefundPayload(refund_id=refund_id, amount=amount)
        return await self._mesh.start_run(workflows.Refund, payload, conn=conn)

    # deciding

    async def cancel_run(self, run_id: UUID) -> Run:
        """Call a run off."""
        return await self._mesh.cancel_run(run_id)

    async def unblock_run(self, run_id: UUID, *, actor: str) -> Run:
        """Let a held run go on."""
        return await self._mesh.unblock_run(run_id, actor=actor)

    async def approve_run(self, run_id: UUID, *, actor: str, comment: str, ticket: str) -> Run:
        """Approve what a run asks for."""
        return await self._mesh.approve_run(
            run_id, actor=actor, comment=comment, metadata={"ticket": ticket}
        )

    async def reject_run(self, run_id: UUID, *, actor: str, comment: str) -> Run:
        """Reject what a run asks for."""
        return await self._mesh.reject_run(run_id, actor=actor, comment=comment)

    async def replay_run(self, run_id: UUID) -> Run:
        """Do it once more, in a new run."""
        return await self._mesh.replay_run(run_id)

    # looking

    async def inspect_run(self, run_id: UUID) -> RunDetails:
        """A run with its history."""
        return await self._mesh.inspect_run(run_id, include_history=True)

    async def exists(self, run_id: UUID) -> bool:
        """Whether there is such a run."""
        try:
            await self._mesh.inspect_run(run_id)
        except RunNotFound:
            return False
        return True

    async def list_daily_digest_runs(self) -> list[Run]:
        """The runs that the schedule has started, newest first."""
        page = await self._mesh.list_runs(workflow=workflows.DailyDigest, trigger="daily_digest")
        return list(page.runs)

    async def list_live_runs(self) -> list[Run]:
        """Runs that haven't ended, the newest thousand."""
        live = [status for status in RunStatus if status not in ENDED]
        return list((await self._mesh.list_runs(status=live, limit=1000)).runs)

    async def next_digest(self) -> datetime | None:
        """When the schedule fires next."""
        (daily,) = await self._mesh.schedules()
        return daily.next_window

    async def wait_for_end(self, run_id: UUID) -> RunDetails:
        """A run once it has ended, or as it is when patience has."""
        with suppress(WaitTimeout):
            await self._mesh.wait_for_run(run_id, timeout=PATIENCE)
        return await self.inspect_run(run_id)

    async def wait_for_rest(self, run_id: UUID) -> RunDetails:
        """A run once it waits for somebody or for its next attempt, or has ended."""
        resting = {RunStatus.PAUSED, RunStatus.RETRYING, *ENDED}
        with suppress(WaitTimeout):
            await self._mesh.wait_for_run(run_id, until=resting, timeout=PATIENCE)
        return await self.inspect_run(run_id)

    async def wait_for_digest(self, window: datetime) -> RunDetails:
        """The run that the schedule has started for a window, once it has ended.

        Raises `TimeoutError` when none is started.
        """
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while True:
                for run in await self.list_daily_digest_runs():
                    if run.window == window:
                        return await self.wait_for_end(run.id)
                await asyncio.sleep(GLANCE.total_seconds())

    async def wait_for_sleep(self, run_id: UUID) -> RunDetails:
        """A run once a step of it is asleep, or as it is when patience has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE.total_seconds()):
                while True:
                    details = await self.inspect_run(run_id)
                    if _is_asleep(details):
                        return details
                    await asyncio.sleep(GLANCE.total_seconds())
        return await self.inspect_run(run_id)


def _is_asleep(run: RunDetails) -> bool:
    return any(step.status is StepStatus.SCHEDULED for step in run.steps)
