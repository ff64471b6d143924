"""What a run's history says, in values that a check compares."""

from .workflows_api import Attempt, RunDetails

type Audited = tuple[str, object, str | None, object]
"""What was decided, by whom, and the comment and the metadata that go with it."""


def attempts(run: RunDetails, step: str) -> list[str]:
    """How each attempt at a step ended."""
    return [str(each.status) for each in _tries(run, step)]


def failures(run: RunDetails, step: str) -> list[str | None]:
    """The code of each attempt's error; None for one that has none."""
    return [each.error.code if each.error else None for each in _tries(run, step)]


def audited(run: RunDetails) -> list[Audited]:
    """What the audit says."""
    return [(each.type, each.actor, each.comment, each.metadata) for each in run.audit_events]


def _tries(run: RunDetails, step: str) -> tuple[Attempt, ...]:
    return next(state.attempts for state in run.steps if state.step == step)
