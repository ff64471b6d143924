"""From what a step came to, to what is written: the step's end and everything that follows it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from squid_mesh.definition.spec import Exit, RetrySpec
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
from squid_mesh.engine.states import StepStatus
from squid_mesh.runtime.catalog import Plan
from squid_mesh.runtime.failures import BodyFailure
from squid_mesh.runtime.results import Hold, Output, Result, Sleep, Unfit
from squid_mesh.store.records import Claimed, Progress


@dataclass(frozen=True, slots=True)
class Outlook:
    """What decides about a step's successors: its plan, and whether a step can run in this job."""

    plan: Plan
    goes_on: Callable[[str], bool]

    def progress(self, claimed: Claimed, result: Result, job: int | None) -> Progress:
        """What is to be written for a result."""
        base = Progress(
            run_id=claimed.run_id,
            step=claimed.step,
            attempt=claimed.attempt,
            status=StepStatus.COMPLETED,
            job=job,
        )
        match result:
            case Sleep(delay):
                return replace(base, status=StepStatus.SCHEDULED, delay=delay)
            case Hold():
                return replace(base, status=StepStatus.PAUSED)
            case Unfit(action):
                return replace(base, status=StepStatus.PENDING, needs=action)
            case Output(stored, value):
                following = follow(self.plan.graph, claimed.step, Exit.OK, value)
                return self._followed(replace(base, output=stored), following)
            case BodyFailure():
                policy = self.plan.steps[claimed.step].operations.retry
                return self._after_failure(base, result, policy)
            case _:
                assert_never(result)

    def given_up(self, base: Progress, failure: BodyFailure) -> Progress:
        """What is to be written for an attempt that mustn't be followed by another."""
        return self._after_failure(base, failure, policy=None)

    def _after_failure(
        self, base: Progress, failure: BodyFailure, policy: RetrySpec | None
    ) -> Progress:
        base = replace(base, status=StepStatus.FAILED, error=failure.stored)
        following = after_failure(
            self.plan.graph,
            base.step,
            base.attempt,
            failure.failed,
            policy=policy,
            jitter=random.random(),  # noqa: S311 (spreads load, guards nothing)
        )
        match following:
            case RetryIn(_, delay):
                return replace(base, status=StepStatus.SCHEDULED, delay=delay)
            case Fail():
                return replace(base, fails=True)
            case _:
                return self._followed(base, following)

    def _followed(self, base: Progress, following: Following) -> Progress:
        match following:
            case EndReached():
                return replace(base, ends=True)
            case Next(step):
                queue = self.plan.steps[step].operations.queue
                return replace(base, next=step, queue=queue, inline=self.goes_on(step))
            case CountDown(steps):
                inline = len(steps) == 1 and self.goes_on(steps[0])
                return replace(base, joins=steps, inline=inline)
            case _:
                assert_never(following)


def candidates(progress: Progress) -> tuple[str, ...]:
    """The steps that writing this may claim for its driver."""
    if not progress.inline:
        return ()
    return progress.joins if progress.next is None else (progress.next,)


def next_claim(claimed: Claimed, result: Result, step: str) -> Claimed:
    """The claim on a flow's next step, with what the run has stored by now."""
    outputs, errors = claimed.outputs, claimed.errors
    match result:
        case Output(stored, value) if stored is not None:
            outputs = {**outputs, claimed.step: value}
        case BodyFailure(error):
            errors = {**errors, claimed.step: error}
        case _:
            pass
    return replace(claimed, step=step, attempt=1, outputs=outputs, errors=errors, slept=False)
