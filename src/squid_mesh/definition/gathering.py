"""Lets broken workflows be declared while somebody gathers what is wrong with all of them.

Never in a process that runs them: what is broken is replaced by a workflow without steps.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from squid_mesh.errors import WorkflowDefinitionError

_gathered: ContextVar[list[WorkflowDefinitionError] | None] = ContextVar("gathered", default=None)


@contextmanager
def gathering() -> Generator[list[WorkflowDefinitionError]]:
    """Keep, for the length of the block, the errors that declarations would raise."""
    errors: list[WorkflowDefinitionError] = []
    token = _gathered.set(errors)
    try:
        yield errors
    finally:
        _gathered.reset(token)


def keep_or_raise(error: WorkflowDefinitionError) -> None:
    """Keep an error if somebody gathers them, raise it otherwise."""
    errors = _gathered.get()
    if errors is None:
        raise error
    errors.append(error)
