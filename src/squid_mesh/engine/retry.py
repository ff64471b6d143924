"""Whether a failed attempt is followed by another, and when."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from squid_mesh.definition.durations import LONGEST
from squid_mesh.definition.spec import BackoffSpec, RetrySpec


@dataclass(frozen=True, slots=True)
class Failed:
    """What the policy needs to know of a failure.

    `kinds` are the names of the exception's class and its bases; `after` is what `RetryLater` asked
    for, in seconds.
    """

    kinds: Collection[str] = ()
    retryable: bool = True
    after: float | None = None


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again in so many seconds, as attempt number `attempt`."""

    attempt: int
    delay: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Don't try again: on to the error route, or the end of the run."""


def decide(
    policy: RetrySpec | None, attempt: int, failed: Failed, *, jitter: float
) -> RetryIn | GiveUp:
    """What follows attempt number `attempt`, which failed. `jitter` is a random one of [0, 1)."""
    if policy is None or attempt >= policy.max_attempts or not failed.retryable:
        return GiveUp()
    if any(kind in policy.stop_on for kind in failed.kinds):
        return GiveUp()
    return RetryIn(attempt + 1, _clamped(_delay(policy, attempt, failed, jitter)))


def _delay(policy: RetrySpec, attempt: int, failed: Failed, jitter: float) -> float:
    """What `RetryLater` asked for, to the second, or the policy's backoff."""
    if failed.after is not None:
        return failed.after
    delay = backoff(policy.backoff, attempt)
    return spread(delay, jitter) if policy.jitter else delay


def backoff(policy: BackoffSpec | None, attempt: int) -> float:
    """Seconds after failed attempt `attempt`: min · 2^(attempt - 1), at most max; 0 without one."""
    if policy is None:
        return 0.0
    doublings = min(attempt - 1, MOST_DOUBLINGS)
    return min(policy.min * 2.0**doublings, policy.max)


MOST_DOUBLINGS = 64
"""A microsecond doubled so often is past `LONGEST`; doubled 1024 times, a second is no float."""


def spread(delay: float, jitter: float) -> float:
    """A delay stretched or shrunk by up to a quarter, so that what failed together parts."""
    return delay * (0.75 + jitter / 2)


def _clamped(delay: float) -> float:
    return min(max(delay, 0.0), LONGEST.total_seconds())
