"""Drives one run for one Oban job: claims a step, performs it, writes what follows, and goes on.

It stops when the run must wait, has ended, belongs to another queue, or has had its slice; whatever
it leaves is durable by then. Nothing in this process's memory is needed to go on (law 10). Where
jobs wait for a place, it goes on with the run that is next: Oban need not fetch that one's job, and
has none to acknowledge.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import assert_never
from uuid import UUID

from squid_mesh.engine.gates import Decided
from squid_mesh.engine.states import RunStatus, StepStatus
from squid_mesh.errors import WorkflowDefinitionError
from squid_mesh.runtime.alarm import Alarm
from squid_mesh.runtime.bodies import is_being_cancelled
from squid_mesh.runtime.catalog import Catalog, Plan
from squid_mesh.runtime.deciding import Decider
from squid_mesh.runtime.driving import Driving
from squid_mesh.runtime.failures import BodyFailure, refusal
from squid_mesh.runtime.intake import Intake, PutBack
from squid_mesh.runtime.jobs import Job, Slice
from squid_mesh.runtime.lease import Lease
from squid_mesh.runtime.ledger import Ledger
from squid_mesh.runtime.perform import Performer
from squid_mesh.runtime.progress import Attempt, Outlook, candidates, go_on, progress
from squid_mesh.runtime.results import Result, Settled, Sleep, Unfit
from squid_mesh.runtime.settings import Settings
from squid_mesh.runtime.telling import created, decided, log_failure, recorded, started
from squid_mesh.store.committer import Lost, Refused
from squid_mesh.store.records import (
    Advanced,
    Claimed,
    Ended,
    Nothing,
    NotYet,
    Outcome,
    Overdue,
    Progress,
    Stale,
    Stopped,
)
from squid_mesh.store.trouble import passes
from squid_mesh.telemetry import Telemetry

logger = logging.getLogger(__name__)


class Driver:
    """Drives runs of one mesh in one process.

    `ended` is told where runs come to here; `is_full` says whether a queue has no place left.
    """

    def __init__(
        self,
        catalog: Catalog,
        performer: Performer,
        ledger: Ledger,
        *,
        settings: Settings,
        lease: Lease,
        ended: Callable[[UUID, RunStatus], None],
        telemetry: Telemetry,
        alarm: Alarm,
        decider: Decider,
        is_full: Callable[[str], bool],
    ) -> None:
        self._catalog = catalog
        self._performer = performer
        self._ledger = ledger
        self._settings = settings
        self._lease = lease
        self._ended = ended
        self._telemetry = telemetry
        self._alarm = alarm
        self._decider = decider
        self._is_full = is_full
        self._context = copy_context()
        self.driving = Driving()
        self.intake = Intake(ledger.give_back)

    async def drive(self, job: Job) -> PutBack | None:
        """Do one job. Returns `PutBack` when it came too early, or when an outcome got lost."""
        if self.intake.is_closed:
            return await self.intake.turn_away(job.id)
        with self.intake.job(), self.driving.of(job.run_id, job.step) as holding:
            slice_ = Slice(job, holding, self._lease.now())
            try:
                return await self._drive(slice_)
            except Exception as error:
                if _is_trouble(error):
                    return PutBack(1.0)  # the next delivery finds out what was written
                logger.exception("driving run %s from step %s failed", job.run_id, job.step)
                raise

    async def _drive(self, slice_: Slice) -> PutBack | None:
        job = slice_.job
        claiming = await self._ledger.claim(job.run_id, job.step)
        match claiming:
            case NotYet(left):
                return PutBack(left)
            case Overdue(definition):
                return await self._time_out(job, definition)
            case Nothing():
                return None
            case Claimed():
                await self._drive_on(claiming, slice_)
                await self._take_along(slice_)
                return None
            case _:
                assert_never(claiming)

    async def _drive_on(self, claimed: Claimed, slice_: Slice) -> None:
        """Go on with a run from a claimed step for as long as it goes on here."""
        self._tell_created(claimed, slice_.job)
        while await self._step(claimed, slice_):
            pass

    async def _take_along(self, slice_: Slice) -> None:
        """Go on with the runs that are next in the queue. None of them is the job's any more.

        Each has a task of its own: what a body left in its context is no other run's business.
        """
        while self._may_take(slice_):
            try:
                claimed = await self._take(slice_)
                if claimed is None:
                    return
                driving = self._drive_on(claimed, slice_)
                await asyncio.create_task(driving, context=self._context.copy())
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                    raise
                if not _is_trouble(error):
                    run_id = slice_.job.run_id
                    logger.exception("driving run %s, or taking the next one, failed", run_id)
                return

    def _may_take(self, slice_: Slice) -> bool:
        """Whether a place may be kept for another run: others wait, and nobody is to have it."""
        return slice_.may_take and self._has_room(slice_) and self._is_full(slice_.job.queue)

    async def _take(self, slice_: Slice) -> Claimed | None:
        """Claim the step that is next in the queue: the slice is its job's from here on."""
        before = slice_.job
        slice_.holding.steps, slice_.holding.takes, slice_.steps = (), False, 0
        slice_.claimed_after = self._lease.now()
        with self.driving.taking():
            taken = await self._ledger.take(before.queue)
            if taken is None:
                return None
            claimed = taken.claimed
            slice_.holding.run_id, slice_.holding.steps = claimed.run_id, (claimed.step,)
        slice_.job = Job.of(taken.args, queue=before.queue, number=taken.job, waited=before.waited)
        return claimed

    async def _step(self, claimed: Claimed, slice_: Slice) -> bool:
        """Perform one claimed step, write what follows; whether `claimed` is the next one now."""
        try:
            plan = await self._ledger.outlast(lambda: self._catalog.plan(claimed.definition))
        except WorkflowDefinitionError as error:
            return await self._leave(claimed, slice_, error)
        outlook = Outlook(
            plan,
            goes_on=lambda step: self._goes_on(plan, step, slice_),
            has_room=lambda: self._has_room(slice_),
        )
        began = time.monotonic()
        if not self._may_begin(plan, claimed.step, slice_):
            later = Sleep(self._settings.until_handed_over())
            slice_.gives_back = True
            return await self._record(claimed, outlook, later, slice_, began)
        if self._telemetry.is_heard:
            self._telemetry.tell(started(claimed))
        slice_.steps += 1
        result = await self._performer.perform(
            claimed, plan, lambda output: self._intend(claimed, outlook, output, slice_)
        )
        if isinstance(result, Settled):
            return await self._go_from(claimed, outlook, result, slice_, began)
        if isinstance(result, Unfit):
            result = await self._put_by(claimed, result)
            slice_.gives_back = True
        try:
            return await self._record(claimed, outlook, result, slice_, began)
        except Refused as error:
            message = f"the database refused the result: {str(error).splitlines()[0]}"
            result = refusal("invalid_output", message, claimed.step, claimed.attempt)
            return await self._record(claimed, outlook, result, slice_, began)

    async def _leave(self, claimed: Claimed, slice_: Slice, error: WorkflowDefinitionError) -> bool:
        """Park a step whose definition this code can't read: a process that can releases it."""
        slice_.gives_back = True
        attempt = Attempt(claimed.run_id, claimed.step, claimed.attempt, slice_.job.id)
        unfit = Unfit(f"definition {claimed.definition}", str(error))
        parked = progress(attempt, StepStatus.PENDING, needs=unfit.action)
        outcome = await self._ledger.advance(parked)
        if isinstance(outcome, Ended):
            if self._telemetry.is_heard:
                for event in recorded(claimed, unfit, parked, outcome, 0.0):
                    self._telemetry.tell(event)
            self._ended(claimed.run_id, outcome.status)
        return False

    async def _time_out(self, job: Job, definition: str) -> PutBack | None:
        """Nobody decided about an approval in time: its run goes on without."""
        try:
            plan = await self._ledger.outlast(lambda: self._catalog.plan(definition))
        except WorkflowDefinitionError:
            return PutBack(self._settings.until_handed_over())
        moved = await self._ledger.decide(
            lambda conn: self._decider.time_out(conn, job.run_id, plan, job.step)
        )
        if moved is None:
            return None
        if self._telemetry.is_heard:
            workflow = plan.graph.spec.name
            for event in decided(job.run_id, workflow, moved, Decided.TIMED_OUT):
                self._telemetry.tell(event)
        self._ended(job.run_id, moved.status)
        return None

    def _may_begin(self, plan: Plan, step: str, slice_: Slice) -> bool:
        """Whether a body may begin: one that is to run once at most, only under an unbroken lease.

        Another process may have found it interrupted, and an operator may have it run again.
        """
        once = plan.steps[step].operations.on_interrupt != "retry"
        return not once or self._lease.has_held_since(slice_.claimed_after)

    def _tell_created(self, claimed: Claimed, job: Job) -> None:
        if self._telemetry.is_heard and job.untold and claimed.begins:
            self._telemetry.tell(created(claimed, job.replayed_from))

    async def _put_by(self, claimed: Claimed, unfit: Unfit) -> Result:
        """Leave a step to a process that declares its definition, or park it when none lives."""
        if await self._ledger.is_declared(claimed.definition):
            return Sleep(self._settings.until_handed_over())
        logger.warning(
            "step %s of run %s is parked until there is code that can call it: %s",
            claimed.step,
            claimed.run_id,
            unfit.reason,
        )
        return unfit

    def _goes_on(self, plan: Plan, step: str, slice_: Slice) -> bool:
        """Whether a step can run in this job: same queue, and this driver isn't done."""
        queue = plan.steps[step].operations.queue or self._settings.queueing.queue
        return queue == slice_.job.queue and plan.can_run(step) and self._has_room(slice_)

    def _has_room(self, slice_: Slice) -> bool:
        """Whether this driver isn't done."""
        return not self.intake.is_closed and not slice_.is_used_up

    def _intend(
        self, claimed: Claimed, outlook: Outlook, result: Result, slice_: Slice
    ) -> Progress:
        """What is to be written for a result. Whatever that may claim is held from here on."""
        attempt = Attempt(claimed.run_id, claimed.step, claimed.attempt, slice_.job.id)
        progress = outlook.progress(attempt, result)
        slice_.holding.steps = (claimed.step, *candidates(progress))
        slice_.holding.takes = progress.takes
        slice_.claimed_after = self._lease.now()
        return progress

    async def _record(
        self, claimed: Claimed, outlook: Outlook, result: Result, slice_: Slice, began: float
    ) -> bool:
        progress = self._intend(claimed, outlook, result, slice_)
        outcome = await self._write(progress, outlook.plan)
        settled = Settled(result, progress, outcome)
        return await self._go_from(claimed, outlook, settled, slice_, began)

    async def _go_from(
        self, claimed: Claimed, outlook: Outlook, settled: Settled, slice_: Slice, began: float
    ) -> bool:
        """Tell of what is durable now; whether `claimed` is the next step."""
        result, progress, outcome = settled.result, settled.progress, settled.outcome
        if isinstance(result, BodyFailure) and not isinstance(outcome, Stale):
            log_failure(claimed, result, progress, outcome)
        if self._telemetry.is_heard:
            duration = time.monotonic() - began
            for event in recorded(claimed, result, progress, outcome, duration):
                self._telemetry.tell(event)
        match outcome:
            case Advanced(step, sleeper):
                if sleeper is not None and progress.delay is not None:
                    self._alarm.set(sleeper, progress.delay)
                slice_.holding.steps = () if step is None else (step,)
                slice_.holding.takes = False
                return step is not None and await self._go_on(claimed, outlook.plan, result, step)
            case Ended(status):
                self._ended(claimed.run_id, status)
                return False
            case Stopped() | Stale():
                return False
            case _:
                assert_never(outcome)

    async def _write(self, progress: Progress, plan: Plan) -> Outcome:
        """Write progress; a failure beside steps under way takes the run's lock to count them."""
        if progress.fails and not plan.graph.spec.flow:
            return await self._ledger.fail(progress)
        return await self._ledger.advance(progress)

    async def _go_on(self, claimed: Claimed, plan: Plan, result: Result, step: str) -> bool:
        """Make `claimed` the next step's; what others have stored for it is read first."""
        go_on(claimed, result, step)
        if not all(need in claimed.outputs for need in plan.graph.needs.get(step, ())):
            loaded = await self._ledger.load(claimed.run_id)
            claimed.outputs, claimed.errors = loaded.outputs, loaded.errors
        return True


def _is_trouble(error: BaseException) -> bool:
    """Whether it is the database's, or passes with it, and was told of where it was met."""
    return isinstance(error, Lost) or passes(error)
