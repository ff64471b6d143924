"""The values that a body is handed: its context, a decision, another step's failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from squid_mesh.definition.options import Window

if TYPE_CHECKING:  # to name the type only: this package logs nothing
    from logging import Logger, LoggerAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """Where a body runs: wired with `context`.

    `idempotency_key` is the same for every attempt of this step in this run: hand it to whatever
    the body calls, so that a second attempt isn't a second effect. `window` is set when a cron
    trigger started the run. `logger` adds the run, the step and the attempt to each record.
    """

    run_id: UUID
    workflow: str
    step: str
    attempt: int
    trigger: str
    idempotency_key: str
    window: Window | None
    logger: LoggerAdapter[Logger]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person decided at an approval: the output of that step."""

    decision: Literal["approved", "rejected"]
    actor: str | dict[str, Any]
    comment: str | None = None
    metadata: dict[str, Any] | None = None
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailure:
    """How a step failed: wired with `step.error`, shown by inspection.

    `type` is the exception's class name; `code` and `details` come from a `StepError`.
    """

    type: str
    message: str
    code: str | None = None
    details: Mapping[str, Any] | None = field(default=None, repr=False)
    retryable: bool = True
    step: str
    attempt: int
