"""Which steps this process holds, so that its own recovery leaves them alone."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True, eq=False)
class Holding:
    """The steps of one run that one driver has claimed, or is about to.

    `takes`: just now that may be any step of the run.
    """

    run_id: UUID
    steps: tuple[str, ...]
    takes: bool = False


class Driving:
    """What the drivers of this process hold."""

    def __init__(self) -> None:
        self._held: dict[Holding, None] = {}
        self._takes: set[asyncio.Future[None]] = set()

    def __contains__(self, key: tuple[UUID, str]) -> bool:
        run_id, step = key
        return any(h.run_id == run_id and (h.takes or step in h.steps) for h in self._held)

    @property
    def steps(self) -> list[tuple[UUID, str | None]]:
        """All of them, each with its run; None is any step of it."""
        return [(h.run_id, step) for h in self._held for step in ((None,) if h.takes else h.steps)]

    @contextmanager
    def of(self, run_id: UUID, step: str) -> Generator[Holding]:
        """Hold a step, from before its claim is written: no sweep can come between."""
        holding = Holding(run_id, (step,))
        self._held[holding] = None
        try:
            yield holding
        finally:
            del self._held[holding]

    @contextmanager
    def taking(self) -> Generator[None]:
        """While a driver asks for a step of whichever run is next: what it gets isn't held yet."""
        take = asyncio.get_running_loop().create_future()
        self._takes.add(take)
        try:
            yield
        finally:
            self._takes.discard(take)
            take.set_result(None)

    async def settle(self, seconds: float) -> bool:
        """Wait until drivers hold what they take now; whether they did so in time."""
        if not self._takes:
            return True
        _, asking = await asyncio.wait(set(self._takes), timeout=seconds)
        return not asking
