"""What is asked of a system, and what came of it: values that travel as JSON between processes."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Self

STEPS = 5
"""Steps of a chain."""


@dataclass(frozen=True, slots=True)
class Load:
    """Chains of five steps that do nothing, or wait for so many milliseconds of I/O each."""

    runs: int
    at_a_time: int
    io_ms: float = 0.0
    sync: bool = False
    """Whether the steps are plain functions."""
    size: int = 0
    """Bytes of each output; 0 is a small value."""
    idle_runs: int = 100
    """Runs that come one by one afterwards, with nothing else to do."""

    def __str__(self) -> str:
        kind = "sync steps" if self.sync else "async steps"
        io = f", {self.io_ms:g} ms of I/O" if self.io_ms else ""
        size = f", {self.size // 1000} kB outputs" if self.size else ""
        return f"{self.runs} runs, {self.at_a_time} at a time, {kind}{io}{size}"

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Self:
        """From JSON."""
        return cls(**json.loads(text))

    def output(self) -> str:
        """What each step leaves: text that doesn't compress to nothing."""
        letters = string.ascii_letters + string.digits
        return "".join(random.Random(7).choices(letters, k=self.size))  # noqa: S311  # no secret


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load cost. Times are in seconds, sizes in bytes."""

    steps: int
    seconds: float
    commits: int
    wal_bytes: float
    wal_fpi: int
    client_seconds: float
    server_seconds: float
    peak_bytes: int
    gaps: list[float] = field(default_factory=list)
    """From the start of one body to the start of the next one of its run."""
    idle: list[float] = field(default_factory=list)
    """From start to finish of runs that come one by one."""

    @property
    def rate(self) -> float:
        """Steps a second."""
        return self.steps / self.seconds

    def summary(self) -> dict[str, float]:
        """What is kept of it: percentiles of what there are many of, in milliseconds."""
        figures = {k: v for k, v in asdict(self).items() if k not in ("gaps", "idle")}
        return figures | {
            "rate": self.rate,
            **{f"gap_p{n}": percentile(self.gaps, n) for n in (50, 99)},
            **{f"idle_p{n}": percentile(self.idle, n) for n in (50, 99)},
        }

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Self:
        """From JSON."""
        return cls(**json.loads(text))


def percentile(seconds: Sequence[float], percent: int) -> float:
    """A percentile, in milliseconds; NaN of nothing."""
    if not seconds:
        return float("nan")
    ordered = sorted(seconds)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)] * 1000
