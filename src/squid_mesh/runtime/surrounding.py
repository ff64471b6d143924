"""What is put around a step where somebody listens: its log context and its span."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import assert_never

from squid_mesh.runtime.catalog import Plan
from squid_mesh.runtime.failures import BodyFailure
from squid_mesh.runtime.results import Hold, Output, Result, Settled, Sleep, Unfit
from squid_mesh.store.records import Claimed, Stale
from squid_mesh.telemetry import Failure, LogContext, Telemetry, Work, logs

_POSTPONED = "retry_later"


async def surrounded(
    claimed: Claimed,
    plan: Plan,
    telemetry: Telemetry,
    perform: Callable[[], Awaitable[Result | Settled]],
) -> Result | Settled:
    """Perform a step inside its log context and its span, both of them in this task's context."""
    with _log_context(claimed):
        if not telemetry.is_instrumented:
            return await perform()
        span = telemetry.begin_step(_work(claimed, plan))
        try:
            result = await perform()
        except BaseException:
            telemetry.end(span, "interrupted")
            raise
        telemetry.end(span, outcome_of(result), _failure(claimed, plan, result))
        return result


@contextmanager
def _log_context(claimed: Claimed) -> Generator[None]:
    if not LogContext.is_made:
        yield
        return
    run_id = str(claimed.run_id)
    token = logs.enter(logs.StepFacts(run_id, claimed.workflow, claimed.step, claimed.attempt))
    try:
        yield
    finally:
        logs.leave(token)


def _work(claimed: Claimed, plan: Plan) -> Work:
    return Work(
        run_id=claimed.run_id,
        workflow=claimed.workflow,
        trigger=claimed.trigger,
        step=claimed.step,
        attempt=claimed.attempt,
        kind=plan.steps[claimed.step].spec.kind,
        queue=plan.steps[claimed.step].operations.queue,
        trace=claimed.trace,
    )


def outcome_of(result: Result | Settled) -> str:
    """What a span ends with."""
    match result:
        case Settled(inner, _, outcome):
            return "refused" if isinstance(outcome, Stale) else outcome_of(inner)
        case Output():
            return "completed"
        case BodyFailure(error):
            return "postponed" if error["code"] == _POSTPONED else "failed"
        case Sleep():
            return "slept"
        case Hold():
            return "paused"
        case Unfit():
            return "unfit"
        case _:
            assert_never(result)


def _failure(claimed: Claimed, plan: Plan, result: Result | Settled) -> Failure | None:
    """What a span shows of a failure, and where it came from, without the run's secrets."""
    if not isinstance(result, BodyFailure):
        return None
    error = result.error
    trace = None
    if result.cause is not None:
        text = "".join(traceback.format_exception(result.cause))
        trace = plan.secrets(claimed.payload, claimed.outputs).hide(text)
    return Failure(
        type=error["type"], message=error["message"], code=error["code"], traceback=trace
    )
