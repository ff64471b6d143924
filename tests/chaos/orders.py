"""Which runs are started, in which manner, and what is asked of them: a function of the seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from squid_mesh import Workflow
from tests.chaos.shapes import SHAPES, Review, Task


class Manner(StrEnum):
    """How runs are started."""

    ALONE = "alone"
    WITH_KEY = "with a key"
    TOGETHER = "several together"
    IN_TRANSACTION = "in a host's transaction"
    ROLLED_BACK = "in a transaction that is rolled back"


_OFTEN: dict[Manner, float] = {
    Manner.ALONE: 50,
    Manner.WITH_KEY: 20,
    Manner.TOGETHER: 5,
    Manner.IN_TRANSACTION: 10,
    Manner.ROLLED_BACK: 3,
}
_TOGETHER = 10
_SOON = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Runs of one workflow to be started, and what is to be done with the first of them."""

    workflow: type[Workflow[Task]]
    tasks: list[Task]
    manner: Manner
    cancelled_after: float | None
    """Seconds."""
    is_replayed: bool
    is_awaited: bool

    @property
    def keys(self) -> list[str]:
        """A key for each task."""
        return [f"order {task.number}" for task in self.tasks]


def orders(seed: int) -> Iterator[Order]:
    """Without an end."""
    chance = random.Random(f"generator {seed}")  # noqa: S311  # an order, not a secret
    number = 0
    while True:
        workflow: Any = chance.choice(SHAPES)
        (manner,) = chance.choices(list(_OFTEN), list(_OFTEN.values()))
        count = _TOGETHER if manner is Manner.TOGETHER else 1
        tasks = [_task(chance, workflow, number + n) for n in range(count)]
        number += count
        yield Order(
            workflow=workflow,
            tasks=tasks,
            manner=manner,
            cancelled_after=chance.expovariate(4) if chance.random() < 0.06 else None,
            is_replayed=chance.random() < 0.03,
            is_awaited=chance.random() < 0.02,
        )


def _task(chance: random.Random, workflow: type[Workflow[Task]], number: int) -> Task:
    silent = workflow is Review and chance.random() < 0.3
    return Task(
        number=number,
        milliseconds=chance.choice((0, 1, 5, 10, 20, 50, 200)),
        breaks=chance.choice((0, 0, 1, 2, 3)),
        way=chance.choice(("left", "right")),
        naps=timedelta(seconds=chance.choice((0.05, 0.3, 1, 3, 120))),
        **({"deadline": _SOON} if silent else {}),
    )
