"""Which steps this process holds, so that its own recovery leaves them alone."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True, eq=False)
class Holding:
    """The steps of one run that one driver has claimed, or is about to."""

    run_id: UUID
    steps: tuple[str, ...]


class Driving:
    """What the drivers of this process hold."""

    def __init__(self) -> None:
        self._held: dict[Holding, None] = {}

    def __contains__(self, key: tuple[UUID, str]) -> bool:
        return key in self.steps

    @property
    def steps(self) -> list[tuple[UUID, str]]:
        """All of them, each with its run."""
        return [(held.run_id, step) for held in self._held for step in held.steps]

    @contextmanager
    def of(self, run_id: UUID, step: str) -> Generator[Holding]:
        """Hold a step, from before its claim is written: no sweep can come between."""
        holding = Holding(run_id, (step,))
        self._held[holding] = None
        try:
            yield holding
        finally:
            del self._held[holding]
