"""The log context of a step: which run, workflow, step and attempt a line of a body belongs to."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any, ClassVar, override


@dataclass(frozen=True, slots=True)
class StepFacts:
    """What a log line of a body carries."""

    run_id: str
    workflow: str
    step: str
    attempt: int

    def as_dict(self) -> dict[str, Any]:
        """By the names that lines have them under."""
        return {name: getattr(self, name) for name in _NAMES}


_NAMES = ("run_id", "workflow", "step", "attempt")
_current: ContextVar[StepFacts | None] = ContextVar("squid_mesh_step", default=None)


class LogContext(logging.Filter):
    """Adds `run_id`, `workflow`, `step` and `attempt` to what is logged while a body runs.

    As a filter of a handler it adds them to every record that has none of its own, whatever logger
    a body used, on the loop and in its thread; a record from elsewhere gets None for each, so
    that a format may name them. As a processor of structlog it adds them to events of bodies.

        handler.addFilter(LogContext())
        structlog.configure(processors=[LogContext(), …])

    It filters nothing out. The first one that is made in a process switches the context on: until
    then nothing is kept around bodies.
    """

    is_made: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        LogContext.is_made = True

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        facts = _current.get()
        for name in _NAMES:
            if not hasattr(record, name):
                setattr(record, name, None if facts is None else getattr(facts, name))
        return True

    def __call__(
        self, logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Add the facts to an event of structlog's; what it says itself stands."""
        del logger, method
        if (facts := _current.get()) is not None:
            for name, value in facts.as_dict().items():
                event.setdefault(name, value)
        return event


def enter(facts: StepFacts) -> Token[StepFacts | None]:
    """A body begins; what it logs has these facts until `leave`."""
    return _current.set(facts)


def leave(token: Token[StepFacts | None]) -> None:
    """The body has ended."""
    _current.reset(token)
