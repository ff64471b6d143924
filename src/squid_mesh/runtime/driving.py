"""Which steps this process holds, so that its own recovery leaves them alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID


class Driving:
    """The steps that this process has claimed, or is about to."""

    def __init__(self) -> None:
        self._held: Counter[tuple[UUID, str]] = Counter()

    def __contains__(self, key: tuple[UUID, str]) -> bool:
        return key in self._held

    @property
    def runs(self) -> list[UUID]:
        """The runs that steps of are held."""
        return list({run_id for run_id, _ in self._held})

    @contextmanager
    def of(self, run_id: UUID, *steps: str) -> Generator[None]:
        """Hold steps of a run, from before a claim is written: no sweep can come between."""
        keys = [(run_id, step) for step in steps]
        self._held.update(keys)
        try:
            yield
        finally:
            for key in keys:
                self._held[key] -= 1
                if not self._held[key]:
                    del self._held[key]
