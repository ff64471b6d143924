"""When the last body of each run began, and the gaps between them."""

from __future__ import annotations

from time import perf_counter


class Pace:
    """Told by every body that it begins; the first of a run has no gap before it."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self.is_on = True
        """Whether anything is kept: not where millions of runs go by."""
        self._last: dict[int, float] = {}

    def begin(self, number: int, *, first: bool) -> None:
        """A body of run `number` begins."""
        if not self.is_on:
            return
        now = perf_counter()
        if not first:
            self.gaps.append(now - self._last[number])
        self._last[number] = now


pace = Pace()
