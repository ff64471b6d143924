"""The values that an author writes into a definition: retry policies and cron windows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Exponential:
    """Wait `min` after the first failure and twice as long after each further one, up to `max`."""

    min: timedelta
    max: timedelta


@dataclass(frozen=True, slots=True)
class Constant:
    """Wait the same time after every failure."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failing step is tried.

    `max_attempts` counts the first try, so 1 never tries again. Without a `backoff` the next
    attempt follows at once. With `jitter` a delay is stretched or shrunk by up to a quarter, so
    that runs which failed together don't come back together. Exceptions of a type in `stop_on` end
    the step at once, as does `StepError(..., retryable=False)`.
    """

    max_attempts: int
    backoff: Exponential | Constant | None = None
    jitter: bool = True
    stop_on: tuple[type[BaseException], ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """One firing of a cron trigger: which trigger, and the instant in its own time zone."""

    trigger: str
    at: datetime

    def date(self) -> date:
        """The window's date in the trigger's time zone."""
        return self.at.date()
