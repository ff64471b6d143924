"""From what a step came to, to what is written: the step's end and everything that follows it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never
from uuid import UUID

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
class Attempt:
    """The attempt that is over, and the job that it ran in."""

    run_id: UUID
    step: str
    number: int
    job: int | None = None


@dataclass(frozen=True, slots=True)
class Onward:
    """Where a run goes from a step that has ended, in the terms of `Progress`."""

    next: str | None = None
    queue: str | None = None
    inline: bool = False
    joins: tuple[str, ...] = ()
    takes: bool = False
    ends: bool = False
    fails: bool = False


NOWHERE = Onward()
"""The step itself goes on: it sleeps, waits or is tried again."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What decides about a step's successors: its plan, and whether a step can run in this job.

    `has_room` says whether the job's driver may begin another step at all.
    """

    plan: Plan
    goes_on: Callable[[str], bool]
    has_room: Callable[[], bool]

    def progress(self, attempt: Attempt, result: Result) -> Progress:
        """What is to be written for a result."""
        match result:
            case Output(stored, value):
                following = follow(self.plan.graph, attempt.step, Exit.OK, value)
                onward = self._onward(following, takes=self._takes(attempt.step))
                return progress(attempt, StepStatus.COMPLETED, onward, output=stored)
            case BodyFailure():
                policy = self.plan.steps[attempt.step].operations.retry
                return self._after_failure(attempt, result, policy)
            case Sleep(delay):
                return progress(attempt, StepStatus.SCHEDULED, delay=delay)
            case Hold(deadline):
                return progress(attempt, StepStatus.PAUSED, delay=deadline, event="paused")
            case Unfit(action):
                return progress(attempt, StepStatus.PENDING, needs=action)
            case _:
                assert_never(result)

    def given_up(self, attempt: Attempt, failure: BodyFailure) -> Progress:
        """What is to be written for an attempt that mustn't be followed by another."""
        return self._after_failure(attempt, failure, policy=None)

    def _after_failure(
        self, attempt: Attempt, failure: BodyFailure, policy: RetrySpec | None
    ) -> Progress:
        following = after_failure(
            self.plan.graph,
            attempt.step,
            attempt.number,
            failure.failed,
            policy=policy,
            jitter=random.random(),  # noqa: S311 (spreads load, guards nothing)
        )
        error = failure.stored
        match following:
            case RetryIn(_, delay):
                return progress(attempt, StepStatus.SCHEDULED, error=error, delay=delay)
            case Fail():
                return progress(attempt, StepStatus.FAILED, Onward(fails=True), error=error)
            case _:
                return progress(attempt, StepStatus.FAILED, self._onward(following), error=error)

    def _takes(self, step: str) -> bool:
        """Whether the driver may take along any other step that is ready."""
        others = () if self.plan.graph.spec.flow else self.plan.graph.beside(step)
        return bool(others) and self.has_room() and self.plan.can_run_all(others)

    def _onward(self, following: Following, *, takes: bool = False) -> Onward:
        match following:
            case Next(step):
                queue = self.plan.steps[step].operations.queue
                return Onward(next=step, queue=queue, inline=self.goes_on(step))
            case EndReached():
                return Onward(ends=True, takes=takes)
            case CountDown(steps):
                inline = len(steps) == 1 and self.goes_on(steps[0])
                return Onward(joins=steps, inline=inline, takes=takes)
            case _:
                assert_never(following)


def progress(
    attempt: Attempt,
    status: StepStatus,
    onward: Onward = NOWHERE,
    *,
    output: bytes | None = None,
    error: bytes | None = None,
    delay: float | None = None,
    needs: str | None = None,
    event: str | None = None,
) -> Progress:
    """One record, of an attempt's end and where the run goes from it."""
    return Progress(
        run_id=attempt.run_id,
        step=attempt.step,
        attempt=attempt.number,
        status=status,
        output=output,
        error=error,
        delay=delay,
        next=onward.next,
        queue=onward.queue,
        inline=onward.inline,
        joins=onward.joins,
        takes=onward.takes,
        ends=onward.ends,
        fails=onward.fails,
        needs=needs,
        event=event,
        job=attempt.job,
    )


def candidates(record: Progress) -> tuple[str, ...]:
    """The steps that writing this may claim for its driver, but for what it takes along."""
    if not record.inline:
        return ()
    return record.joins if record.next is None else (record.next,)


def go_on(claimed: Claimed, result: Result, step: str) -> None:
    """Turn a claim into the one that came with its progress: what it stored is known from here."""
    match result:
        case Output(stored, value) if stored is not None:
            claimed.outputs[claimed.step] = value
        case BodyFailure(error):
            claimed.errors[claimed.step] = error
        case _:
            pass
    claimed.step = step
    claimed.attempt = 1
    claimed.slept = False
    claimed.waited = None
