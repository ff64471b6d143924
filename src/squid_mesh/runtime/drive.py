"""Drives one run for one Oban job: claims a step, runs it, records what follows, and goes straight on.

It stops when the run must wait, has ended, belongs to another queue, or has had its slice; whatever
it leaves is durable by then. Nothing in this process's memory is needed to go on (law 10).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import assert_never
from uuid import UUID

from squid_mesh.definition.durations import seconds
from squid_mesh.definition.spec import Exit, StepKind, Wire
from squid_mesh.definition.values import MissingPath, Unreadable
from squid_mesh.engine.inputs import Stored, read
from squid_mesh.engine.planner import (
    CountDown,
    EndReached,
    Fail,
    Following,
    Next,
    after_failure,
    follow,
)
from squid_mesh.engine.retry import RetryIn
from squid_mesh.engine.states import RunStatus, StepStatus
from squid_mesh.runtime.bodies import Bodies, Output
from squid_mesh.runtime.catalog import Catalog, Plan, PlannedStep
from squid_mesh.runtime.failures import BodyFailure, refusal
from squid_mesh.runtime.ledger import Ledger
from squid_mesh.store.committer import Lost, Refused
from squid_mesh.store.records import (
    Advanced,
    Claimed,
    Ended,
    Nothing,
    NotYet,
    Outcome,
    Progress,
    Stale,
    Stopped,
)

logger = logging.getLogger(__name__)

SLICE_STEPS = 100
SLICE_SECONDS = 30.0
"""One job goes on inline for so long, then hands over, so that no run keeps a queue's place for good."""

PARKED_SECONDS = 30.0
"""How long a step that no loaded code fits sleeps before it is looked at again."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """The job is to come again, in so many seconds."""

    seconds: float


@dataclass(slots=True)
class _Slice:
    """What one job has done so far."""

    queue: str
    job: int | None
    steps: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def is_used_up(self) -> bool:
        return self.steps >= SLICE_STEPS or time.monotonic() - self.began >= SLICE_SECONDS


class Driving:
    """The steps that this process has claimed or is about to; recovery leaves them alone."""

    def __init__(self) -> None:
        self._held: dict[tuple[UUID, str], int] = {}

    def __contains__(self, key: tuple[UUID, str]) -> bool:
        return key in self._held

    @contextmanager
    def of(self, run_id: UUID, *steps: str) -> Iterator[None]:
        """Hold steps of a run. Entered before the claim is written, so no sweep can come between."""
        for step in steps:
            self._held[run_id, step] = self._held.get((run_id, step), 0) + 1
        try:
            yield
        finally:
            for step in steps:
                self._held[run_id, step] -= 1
                if not self._held[run_id, step]:
                    del self._held[run_id, step]


class Driver:
    """Drives runs of one mesh in one process."""

    def __init__(
        self,
        catalog: Catalog,
        bodies: Bodies,
        ledger: Ledger,
        *,
        queue: str,
        ended: Callable[[UUID, RunStatus], None],
    ) -> None:
        self._catalog = catalog
        self._bodies = bodies
        self._ledger = ledger
        self._queue = queue
        self._ended = ended
        self.driving = Driving()
        self.draining = False
        self._jobs = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def drive(self, run_id: UUID, step: str, queue: str, job: int | None) -> PutBack | None:
        """Do one job. Returns `PutBack` when it came too early, or when an outcome got lost."""
        if self.draining:
            return PutBack(1.0)
        self._jobs += 1
        self._idle.clear()
        try:
            return await self._drive(run_id, step, _Slice(queue, job))
        except Lost:
            return PutBack(1.0)  # the next delivery finds out what was written
        finally:
            self._jobs -= 1
            if not self._jobs:
                self._idle.set()

    async def drain(self, grace: float) -> bool:
        """Begin nothing more; whether everything under way has ended within `grace` seconds."""
        self.draining = True
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _drive(self, run_id: UUID, step: str, slice_: _Slice) -> PutBack | None:
        with self.driving.of(run_id, step):
            claimed = await self._ledger.claim(run_id, step)
            match claimed:
                case NotYet(left):
                    return PutBack(left)
                case Nothing():
                    return None
                case Claimed():
                    following = await self._step(claimed, slice_)
        while following is not None:
            with self.driving.of(run_id, following.step):
                following = await self._step(following, slice_)
        return None

    async def _step(self, claimed: Claimed, slice_: _Slice) -> Claimed | None:
        """Run one claimed step and write what follows; the next claim, if this driver has it."""
        plan = await self._catalog.plan(claimed.definition)
        result = await self._perform(claimed, plan)
        slice_.steps += 1
        progress = self._progress(claimed, plan, result, slice_)
        with self.driving.of(claimed.run_id, *_candidates(progress)):
            try:
                outcome = await self._write(progress, plan)
            except Refused as error:
                message = f"the database refused the result: {str(error).splitlines()[0]}"
                result = refusal("invalid_output", message, claimed.step, claimed.attempt)
                progress = self._progress(claimed, plan, result, slice_)
                outcome = await self._write(progress, plan)
            return await self._after(claimed, plan, result, outcome)

    # what a step does

    async def _perform(self, claimed: Claimed, plan: Plan) -> Output | BodyFailure | Sleep | Hold:
        planned = plan.steps[claimed.step]
        match planned.spec.kind:
            case StepKind.ACTION:
                return await self._run_action(claimed, plan, planned)
            case StepKind.LOG:
                self._log(claimed, planned)
                return NO_OUTPUT
            case StepKind.WAIT:
                return NO_OUTPUT if claimed.slept else self._sleep(claimed, planned.spec.duration)
            case StepKind.PAUSE | StepKind.APPROVAL:
                return Hold()
            case kind:
                assert_never(kind)

    async def _run_action(
        self, claimed: Claimed, plan: Plan, planned: PlannedStep
    ) -> Output | BodyFailure | Sleep:
        if planned.action is None:
            logger.warning(
                "step %s of run %s waits for code that can call it: %s",
                claimed.step,
                claimed.run_id,
                "; ".join(planned.misfits),
            )
            return Sleep(PARKED_SECONDS)
        return await self._bodies.run(claimed, plan, planned)

    def _log(self, claimed: Claimed, planned: PlannedStep) -> None:
        step = planned.operations
        level = logging.getLevelNamesMapping()[(step.level or "info").upper()]
        facts = {"run_id": str(claimed.run_id), "workflow": claimed.workflow, "step": claimed.step}
        logging.getLogger("squid_mesh.step").log(level, "%s", step.message, extra=facts)

    def _sleep(self, claimed: Claimed, duration: Wire | None) -> Sleep | BodyFailure:
        assert duration is not None, "a wait has a duration"
        stored = Stored(claimed.payload, claimed.outputs, claimed.errors)
        try:
            return Sleep(seconds(read(duration, stored)))
        except (MissingPath, Unreadable) as error:
            message = f"the duration {error}"
            return refusal("invalid_input", message, claimed.step, claimed.attempt)

    # what follows from it

    def _progress(
        self,
        claimed: Claimed,
        plan: Plan,
        result: Output | BodyFailure | Sleep | Hold,
        slice_: _Slice,
    ) -> Progress:
        base = Progress(
            run_id=claimed.run_id,
            step=claimed.step,
            attempt=claimed.attempt,
            status=StepStatus.COMPLETED,
            job=slice_.job,
        )
        match result:
            case Sleep(delay):
                return replace(base, status=StepStatus.SCHEDULED, delay=delay)
            case Hold():
                return replace(base, status=StepStatus.PAUSED)
            case Output(stored, value):
                base = replace(base, output=stored or None)
                following = follow(plan.graph, claimed.step, Exit.OK, value)
                return self._followed(base, plan, following, slice_)
            case BodyFailure():
                return self._after_failure(base, plan, result, slice_)
            case _:
                assert_never(result)

    def _after_failure(
        self, base: Progress, plan: Plan, failure: BodyFailure, slice_: _Slice
    ) -> Progress:
        base = replace(base, status=StepStatus.FAILED, error=failure.stored)
        following = after_failure(
            plan.graph,
            base.step,
            base.attempt,
            failure.failed,
            policy=plan.steps[base.step].operations.retry,
            jitter=random.random(),  # noqa: S311 (spreads load, guards nothing)
        )
        match following:
            case RetryIn(_, delay):
                return replace(base, status=StepStatus.SCHEDULED, delay=delay)
            case Fail():
                return replace(base, fails=True)
            case _:
                return self._followed(base, plan, following, slice_)

    def _followed(
        self, base: Progress, plan: Plan, following: Following, slice_: _Slice
    ) -> Progress:
        match following:
            case EndReached():
                return replace(base, ends=True)
            case Next(step):
                inline = self._goes_on(plan, step, slice_)
                queue = plan.steps[step].operations.queue
                return replace(base, next=step, queue=queue, inline=inline)
            case CountDown(steps):
                inline = len(steps) == 1 and self._goes_on(plan, steps[0], slice_)
                return replace(base, joins=steps, inline=inline)
            case _:
                assert_never(following)

    def _goes_on(self, plan: Plan, step: str, slice_: _Slice) -> bool:
        """Whether the next step can run in this job: same queue, and this driver isn't done."""
        queue = plan.steps[step].operations.queue or self._queue
        return queue == slice_.queue and not self.draining and not slice_.is_used_up

    async def _write(self, progress: Progress, plan: Plan) -> Outcome:
        if progress.fails and not plan.graph.spec.flow:
            return await self._ledger.fail(progress)
        return await self._ledger.advance(progress)

    async def _after(
        self,
        claimed: Claimed,
        plan: Plan,
        result: Output | BodyFailure | Sleep | Hold,
        outcome: Outcome,
    ) -> Claimed | None:
        match outcome:
            case Advanced(None) | Stopped() | Stale():
                return None
            case Ended(status):
                self._ended(claimed.run_id, status)
                return None
            case Advanced(step):
                assert step is not None
                return await self._next_claim(claimed, plan, result, step)
            case _:
                assert_never(outcome)

    async def _next_claim(
        self,
        claimed: Claimed,
        plan: Plan,
        result: Output | BodyFailure | Sleep | Hold,
        step: str,
    ) -> Claimed:
        """The claim that came with the last flush, and what the run has stored by now."""
        outputs, errors = claimed.outputs, claimed.errors
        if not plan.graph.spec.flow:
            outputs, errors = await self._ledger.load_outputs(claimed.run_id)
        elif isinstance(result, Output) and result.stored:
            outputs = {**outputs, claimed.step: result.value}
        elif isinstance(result, BodyFailure):
            errors = {**errors, claimed.step: result.error}
        return replace(
            claimed, step=step, attempt=1, outputs=outputs, errors=errors, slept=False
        )


@dataclass(frozen=True, slots=True)
class Sleep:
    """The step is to be woken in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """The step waits for a person."""


NO_OUTPUT = Output(b"", None)
"""What built-in steps leave: nothing is stored."""


def _candidates(progress: Progress) -> tuple[str, ...]:
    """The steps that the flush may claim for this driver."""
    if not progress.inline:
        return ()
    return progress.joins if progress.next is None else (progress.next,)
