"""The states of runs, steps and attempts, as tables. SQL guards and diagrams come from these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class RunStatus(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    PAUSED = "paused"
    FAILED = "failed"
    COMPLETED = "completed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    """Where a step stands. `SKIPPED` is shown for a step that never began, and never stored."""

    WAITING = "waiting"
    PENDING = "pending"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class AttemptStatus(StrEnum):
    """How one attempt of a step stands or ended."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"


ENDED = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})
"""The states that a run never leaves."""

SETTLED = ENDED | {RunStatus.PAUSED}
"""The states in which nothing moves until somebody decides, or a deadline passes."""

RUN_MOVES: Mapping[RunStatus, frozenset[RunStatus]] = {
    RunStatus.PENDING: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.CANCELLED}),
    RunStatus.RUNNING: frozenset(
        {
            RunStatus.RETRYING,
            RunStatus.PAUSED,
            RunStatus.COMPLETED,
            RunStatus.FAILED,
            RunStatus.CANCELLING,
            RunStatus.CANCELLED,
        }
    ),
    RunStatus.RETRYING: frozenset(
        {
            RunStatus.RUNNING,
            RunStatus.PAUSED,
            RunStatus.FAILED,
            RunStatus.CANCELLING,
            RunStatus.CANCELLED,
        }
    ),
    RunStatus.PAUSED: frozenset(
        {
            RunStatus.RUNNING,
            RunStatus.RETRYING,
            RunStatus.COMPLETED,
            RunStatus.FAILED,
            RunStatus.CANCELLED,
        }
    ),
    RunStatus.CANCELLING: frozenset({RunStatus.CANCELLED}),
    RunStatus.COMPLETED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.CANCELLED: frozenset(),
}

STEP_MOVES: Mapping[StepStatus, frozenset[StepStatus]] = {
    StepStatus.WAITING: frozenset({StepStatus.PENDING, StepStatus.RUNNING, StepStatus.CANCELLED}),
    StepStatus.PENDING: frozenset({StepStatus.RUNNING, StepStatus.CANCELLED}),
    StepStatus.SCHEDULED: frozenset({StepStatus.RUNNING, StepStatus.CANCELLED}),
    StepStatus.RUNNING: frozenset(
        {
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.SCHEDULED,
            StepStatus.PAUSED,
            StepStatus.PENDING,
            StepStatus.CANCELLED,
        }
    ),
    StepStatus.PAUSED: frozenset(
        {StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.PENDING, StepStatus.CANCELLED}
    ),
    StepStatus.COMPLETED: frozenset(),
    StepStatus.FAILED: frozenset(),
    StepStatus.CANCELLED: frozenset(),
    StepStatus.SKIPPED: frozenset(),
}


def sources[State: StrEnum](
    moves: Mapping[State, frozenset[State]], target: State
) -> frozenset[State]:
    """The states from which a state can be reached in one move."""
    return frozenset(state for state, targets in moves.items() if target in targets)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many live steps of a run stand where. `queued` are ready, handed over or asleep."""

    running: int = 0
    queued: int = 0
    retrying: int = 0
    paused: int = 0


def run_status(
    counts: Counts, *, begun: bool, cancelling: bool, outcome: RunStatus | None
) -> RunStatus:
    """A run's status as a fold over its steps: the first that applies.

    The generated column `runs.status` says the same in SQL; a test compares the two.
    """
    if outcome is not None:
        return outcome
    if cancelling:
        return RunStatus.CANCELLING
    if not begun:
        return RunStatus.PENDING
    if counts.running or counts.queued:
        return RunStatus.RUNNING
    if counts.retrying:
        return RunStatus.RETRYING
    return RunStatus.PAUSED if counts.paused else RunStatus.RUNNING
