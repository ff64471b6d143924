"""Takes over what died and finds what got lost. Needs no leader: any number of processes may sweep.

By law 4 every live run has a live step, so three sweeps see everything that could be stuck: bodies
without a living process, steps that are due without a job, and parked steps that this code fits. A
fourth is for cron windows that are due without a job.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

from squid_mesh.engine.states import RunStatus, StepStatus
from squid_mesh.errors import WorkflowDefinitionError
from squid_mesh.runtime.catalog import Catalog
from squid_mesh.runtime.driving import Driving
from squid_mesh.runtime.failures import refusal
from squid_mesh.runtime.lease import Lease
from squid_mesh.runtime.ledger import Ledger
from squid_mesh.runtime.progress import Attempt, Outlook, progress
from squid_mesh.runtime.settings import Settings
from squid_mesh.store.committer import Busy
from squid_mesh.store.records import Ended, Interrupted, Stale
from squid_mesh.telemetry import OldestReady, Requeued, RunEnded, StepInterrupted, Telemetry

logger = logging.getLogger(__name__)


class Recovery:
    """The sweeps of one process."""

    def __init__(
        self,
        catalog: Catalog,
        ledger: Ledger,
        driving: Driving,
        *,
        settings: Settings,
        lease: Lease,
        requeue_schedules: Callable[[], Awaitable[None]],
        ended: Callable[[UUID, RunStatus], None],
        telemetry: Telemetry,
    ) -> None:
        self._catalog = catalog
        self._ledger = ledger
        self._driving = driving
        self._settings = settings
        self._lease = lease
        self._requeue_schedules = requeue_schedules
        self._ended = ended
        self._telemetry = telemetry

    async def sweep(self) -> None:
        """Look for everything once."""
        await self.take_over()
        await self.requeue()
        await self.release()
        await self._requeue_schedules()
        await self._measure()

    async def take_over(self) -> None:
        """Try interrupted steps again, or end them as their policy says."""
        patience = self._lease.patience
        found = await self._ledger.find_interrupted(
            self._driving.steps, blocked=self._settings.blocked, patience=patience
        )
        has_own = any(i.claim == self._ledger.boot for i in found)
        settled = has_own and await self._driving.settle(self._settings.heartbeat)
        if self._lease.patience > patience:
            return  # the question was on its way while nobody could beat: it has to be asked again
        lost = [i for i in found if self._is_lost(i, settled=settled)]
        policies = {i: await self._policy(i) for i in lost if await self._is_ours(i)}
        await self._retry([i for i, policy in policies.items() if policy == "retry"])
        for interrupted, policy in policies.items():
            if policy != "retry":
                await self._end(interrupted, policy)

    def _is_lost(self, found: Interrupted, *, settled: bool) -> bool:
        """Whether it isn't a step of this boot, claimed since it was asked, or being taken."""
        held = not settled or (found.run_id, found.step) in self._driving
        return found.claim != self._ledger.boot or not held

    async def _is_ours(self, found: Interrupted) -> bool:
        """Whether it is for this process to take over, and not for one that has its code.

        What nobody living declares is taken over by anybody, and parked.
        """
        if not await self._is_readable(found.definition):
            return False
        plan = await self._catalog.plan(found.definition)
        has_code = plan.is_current or plan.steps[found.step].action is not None
        return has_code or not await self._ledger.is_declared(found.definition)

    async def requeue(self) -> None:
        """Give steps that are due and have no job a new one."""
        if count := await self._ledger.requeue_overdue(self._settings.overdue):
            if self._telemetry.is_instrumented:
                self._telemetry.measure(Requeued(steps=count))
            logger.warning("%d steps were due without a job and have a new one", count)

    async def _measure(self) -> None:
        """Find for how long something has been due, when an instrument asks for it."""
        if self._telemetry.is_instrumented and self._telemetry.wants_oldest_ready:
            seconds = await self._ledger.find_oldest_ready()
            self._telemetry.measure(OldestReady(seconds=seconds))

    async def release(self) -> None:
        """Make parked steps ready that code of this process can call."""
        parked = await self._ledger.find_parked()
        readable = [(d, step) for d, step in parked if await self._is_readable(d)]
        fits = [(d, step) for d, step in readable if (await self._catalog.plan(d)).can_run(step)]
        if fits and (count := await self._ledger.release_parked(fits)):
            logger.info("%d parked steps go on: this process has code for them", count)

    async def _retry(self, interrupted: list[Interrupted]) -> None:
        """Try interrupted steps again; those whose run is held now are found by the next sweep."""
        if not interrupted:
            return
        released = await self._ledger.retry_interrupted(interrupted)
        if count := sum(one.goes_on for one in released):
            logger.warning("%d interrupted steps are tried again", count)
        found = {(one.run_id, one.step, one.attempt): one for one in interrupted}
        for one in released:
            policy = "retry" if one.goes_on else "cancel"
            await self._tell(found[one.run_id, one.step, one.attempt], policy)
        ended = {one.run_id: one.outcome for one in released}
        runs = {one.run_id: one for one in interrupted}
        for run_id, outcome in ended.items():
            if outcome is not None:
                await self._tell_ended(runs[run_id], outcome)

    async def _tell(self, interrupted: Interrupted, policy: str) -> None:
        if not self._telemetry.is_heard:
            return
        self._telemetry.tell(
            StepInterrupted(
                run_id=interrupted.run_id,
                workflow=await self._workflow(interrupted.definition),
                trigger=interrupted.trigger,
                trace=interrupted.trace,
                step=interrupted.step,
                attempt=interrupted.attempt,
                policy=policy,
            )
        )

    async def _tell_ended(self, interrupted: Interrupted, status: RunStatus) -> None:
        self._ended(interrupted.run_id, status)
        if not self._telemetry.is_heard:
            return
        self._telemetry.tell(
            RunEnded(
                run_id=interrupted.run_id,
                workflow=await self._workflow(interrupted.definition),
                trigger=interrupted.trigger,
                trace=interrupted.trace,
                status=status,
                duration=interrupted.age,
            )
        )

    async def _workflow(self, definition: str) -> str:
        return (await self._catalog.plan(definition)).graph.spec.name

    async def _is_readable(self, definition: str) -> bool:
        """Whether this code can read a definition; newer code's may be beyond it."""
        try:
            await self._catalog.plan(definition)
        except WorkflowDefinitionError:
            return False
        except Exception:
            logger.exception("definition %s can't be read: its runs are left alone", definition)
            return False
        return True

    async def _policy(self, interrupted: Interrupted) -> str:
        plan = await self._catalog.plan(interrupted.definition)
        policy = plan.steps[interrupted.step].operations.on_interrupt
        too_often = interrupted.before + 1 >= self._settings.max_interruptions
        return "fail" if policy == "retry" and too_often else policy

    async def _end(self, interrupted: Interrupted, policy: str) -> None:
        """Pause an interrupted step, or send it over its error route, or fail its run."""
        plan = await self._catalog.plan(interrupted.definition)
        failure = refusal(
            "interrupted",
            f"its worker died in the middle of it, or the connection of its transaction was lost, "
            f"for the {interrupted.before + 1}. time",
            interrupted.step,
            interrupted.attempt,
        )
        attempt = Attempt(interrupted.run_id, interrupted.step, interrupted.attempt)
        if policy == "pause":
            record = progress(attempt, StepStatus.PAUSED, error=failure.stored)
        else:
            record = Outlook(plan, goes_on=lambda _: False, has_room=lambda: False).given_up(
                attempt, failure
            )
        record = replace(record, event="interrupted")
        by_itself = plan.graph.spec.flow or not record.fails
        write = self._ledger.end_interrupted if by_itself else self._ledger.fail_interrupted
        outcome = await write(interrupted, record)
        if isinstance(outcome, Stale | Busy):
            return
        await self._tell(interrupted, policy)
        if isinstance(outcome, Ended):
            await self._tell_ended(interrupted, outcome.status)
