"""A step that fails once in every run, to show that the second attempt comes."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from squid_mesh import (
    Constant,
    Payload,
    Retry,
    StepContext,
    StepError,
    Workflow,
    complete,
    context,
    step,
)

BACKOFF = timedelta(minutes=1)
"""Long enough for a command to see a run between its attempts; it then lets a minute pass."""


class RetryPayload(Payload):
    """What to call the probe."""

    attempt_id: str


@dataclass(frozen=True, slots=True)
class RetryProbe:
    """That it has worked, after all."""

    attempt_id: str
    status: Literal["ok"] = "ok"


def fail_once(context: StepContext, attempt_id: str) -> RetryProbe:
    if context.attempt == 1:
        raise StepError("retry later", code="retry_later")
    return RetryProbe(attempt_id)


class RetryVerification(Workflow[RetryPayload]):
    """Fail, and succeed a minute later."""

    exercise_retry = step(
        fail_once,
        output="retry_probe",
        retry=Retry(max_attempts=3, backoff=Constant(BACKOFF), jitter=False),
    ).takes(context, RetryPayload.attempt_id)

    flow = exercise_retry >> complete
