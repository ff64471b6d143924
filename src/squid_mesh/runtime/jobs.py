"""What a job asks for, and what its driver has done with the place in the queue that it has."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from squid_mesh.runtime.driving import Holding

SLICE_STEPS = 100
SLICE_SECONDS = 30.0
"""One job goes on inline for so long, then hands over: no run keeps a place in a queue for good."""

TAKING_SECONDS = 1.0
"""A driver whose run is over goes on with the next one for so long; then Oban has the place."""

WAITED_SECONDS = 0.02
"""A job that waited for longer than this wasn't the only one that found no place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A delivery: which step of which run, out of which queue.

    `waited`: for how many seconds it had been available there. `untold` says that the run was
    started in a host's transaction, and nobody has told of it yet; `replayed_from` is the run that
    it then replays.
    """

    run_id: UUID
    step: str
    queue: str
    id: int | None
    waited: float = 0.0
    untold: bool = False
    replayed_from: UUID | None = None

    @classmethod
    def of(cls, args: Mapping[str, Any], *, queue: str, number: int, waited: float) -> Self:
        """A delivery from what its job says. Raises `TypeError` for a job that isn't ours."""
        source, step = args.get("replayed_from"), args["step"]
        if not isinstance(step, str):  # a claim shares its statement with others'
            raise TypeError(f"job {number} names step {step!r}: it isn't one of ours")
        return cls(
            run_id=UUID(args["run"]),
            step=step,
            queue=queue,
            id=number,
            waited=waited,
            untold=args.get("untold", False),
            replayed_from=None if source is None else UUID(source),
        )


@dataclass(slots=True)
class Slice:
    """What one place in a queue was used for so far. `job` is the present run's."""

    job: Job
    holding: Holding
    claimed_after: float
    """The moment before its present claim was asked for, as `Lease` counts."""
    steps: int = 0
    """How many bodies of the present run."""
    gives_back: bool = False
    """Whether it had a step that it couldn't do: others are to have the next ones."""
    began: float = field(default_factory=time.monotonic)

    @property
    def is_used_up(self) -> bool:
        """Whether it is another run's turn."""
        return self.steps >= SLICE_STEPS or self._age >= SLICE_SECONDS

    @property
    def may_take(self) -> bool:
        """Whether the place may be kept for a run whose job waits for one, as its own job did."""
        is_wanted = self.job.waited >= WAITED_SECONDS
        return is_wanted and not self.gives_back and self._age < TAKING_SECONDS

    @property
    def _age(self) -> float:
        return time.monotonic() - self.began
