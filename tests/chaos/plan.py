"""What the villain means to do and when: a function of the seed, so that it can be played again.

Which body, job or connection is struck is up to the moment, but how, when and at whom is not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.laws.tampering import TAMPERING


class Kind(StrEnum):
    """What befalls a worker, the server or the jobs."""

    KILLED = "a worker is killed"
    STOPPED = "a worker stands still"
    ENDED = "a worker is told to end"
    CUT = "connections of a worker are cut"
    SERVER_CRASHES = "a backend is killed, and the server crashes"
    SERVER_KILLED = "the server is stopped at once, and started"
    SERVER_RESTARTED = "the server is restarted"
    TAMPERED = "jobs are"
    HELD = "a host's transaction holds runs"
    CLOCK = "the clock moves on by minutes"


_OFTEN: dict[Kind, float] = {
    Kind.KILLED: 24,
    Kind.STOPPED: 14,
    Kind.ENDED: 10,
    Kind.CUT: 16,
    Kind.SERVER_CRASHES: 2,
    Kind.SERVER_KILLED: 1,
    Kind.SERVER_RESTARTED: 2,
    Kind.TAMPERED: 20,
    Kind.HELD: 6,
    Kind.CLOCK: 8,
}
"""How often each kind comes, in a hundred or so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One blow. `at` and `lasts` are in seconds, `worker` a number that picks one of those up.

    `share` is the part of the jobs, connections or runs that is struck. `how` is how jobs are.
    """

    at: float
    kind: Kind
    worker: int
    lasts: float
    share: float
    how: str = ""

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"{self.kind} {self.how}".strip()


def plan(seed: int, seconds: float, *, faults_a_second: float) -> list[Fault]:
    """The blows of so many seconds, in order."""
    chance = random.Random(f"villain {seed}")  # noqa: S311  # an order, not a secret
    return list(_blows(chance, seconds, faults_a_second))


def _blows(chance: random.Random, seconds: float, faults_a_second: float) -> Iterator[Fault]:
    at = chance.expovariate(faults_a_second)
    while at < seconds:
        (kind,) = chance.choices(list(_OFTEN), list(_OFTEN.values()))
        yield Fault(
            at=at,
            kind=kind,
            worker=chance.randrange(2**16),
            lasts=chance.choice((0.1, 0.5, 1.0, 3.0, 5.0)),
            share=chance.choice((0.1, 0.3, 0.5, 1.0)),
            how=chance.choice(sorted(TAMPERING)) if kind is Kind.TAMPERED else "",
        )
        at += chance.expovariate(faults_a_second)
