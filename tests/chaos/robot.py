"""Decides about whatever waits for a person, often twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from squid_mesh import InvalidStep, InvalidTransition, Run
from tests.chaos.host import AGAIN, TROUBLE, Host
from tests.clock import every

_PAUSED = """
select r.id, r.workflow, s.step, s.attempt, (r.payload ->> 'number')::int,
       (r.payload ->> 'deadline') from squid_mesh.runs r join squid_mesh.steps s on s.run_id = r.id
where r.paused > 0 and s.status = 'paused' limit 200
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A paused step."""

    run: UUID
    workflow: str
    step: str
    attempt: int
    number: int
    deadline: str | None

    @property
    def key(self) -> str:
        """What makes two calls one decision."""
        return f"{self.step} {self.attempt}"

    @property
    def is_left_alone(self) -> bool:
        """Whether nobody decides: its deadline does."""
        return self.workflow == "Review" and self.deadline == "PT2S"


@dataclass
class Robot:
    """Looks at what is paused, again and again."""

    host: Host

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                waiting = [Waiting(*row) for row in await every(self.host.dsn, _PAUSED)]
                decided = [w for w in waiting if not w.is_left_alone]
                await asyncio.gather(*(self._decide(w) for w in decided))
            except TROUBLE:
                pass
            await asyncio.sleep(AGAIN)

    async def _decide(self, waiting: Waiting) -> None:
        """Decide, every third time by two calls at once, which are one decision."""
        kind, call = self._call(waiting)
        calls = [call] * (2 if waiting.number % 3 == 0 else 1)
        outcomes = await asyncio.gather(*(one() for one in calls), return_exceptions=True)
        for outcome in outcomes:
            match outcome:
                case Run():
                    self.host.promised(kind, waiting.run, waiting.key)
                case InvalidTransition() | InvalidStep():  # cancelled or timed out meanwhile
                    pass
                case error if isinstance(error, TROUBLE):
                    pass
                case BaseException():
                    raise outcome

    def _call(self, waiting: Waiting) -> tuple[str, Callable[[], Awaitable[Run]]]:
        mesh, run, number = self.host.mesh, waiting.run, waiting.number
        facts: dict[str, Any] = {
            "step": waiting.step,
            "actor": "robot",
            "key": waiting.key,
        }
        match waiting.workflow:
            case "Review" if number % 2:
                return "approved", lambda: mesh.approve_run(run, **facts)
            case "Review":
                return "rejected", lambda: mesh.reject_run(run, **facts)
            case "Gate":
                return "resumed", lambda: mesh.unblock_run(run, **facts)
            case "Asking" if number % 2:
                return "resolved", lambda: mesh.resolve_step(run, "retry", **facts)
            case "Asking":
                return "resolved", lambda: mesh.resolve_step(
                    run, "complete", output="once", **facts
                )
            case other:
                raise AssertionError(f"{other} waits for a person at {waiting.step}")
