"""Which runs this process drives, so that its own recovery leaves them alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID


class Driving:
    """The runs that drivers of this process hold claims of, or are about to."""

    def __init__(self) -> None:
        self._held: Counter[UUID] = Counter()

    def __contains__(self, run_id: UUID) -> bool:
        return run_id in self._held

    @property
    def runs(self) -> list[UUID]:
        """All of them."""
        return list(self._held)

    @contextmanager
    def of(self, run_id: UUID) -> Generator[None]:
        """Hold a run, from before its claim is written: no sweep can come between."""
        self._held[run_id] += 1
        try:
            yield
        finally:
            self._held[run_id] -= 1
            if not self._held[run_id]:
                del self._held[run_id]
