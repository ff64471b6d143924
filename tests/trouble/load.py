"""Runs under way while something happens to their database, and what must be true of them then."""

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from squid_mesh import (
    Constant,
    Mesh,
    NoPayload,
    Retry,
    StepContext,
    StepError,
    Workflow,
    complete,
    context,
    resource,
    step,
)
from squid_mesh.store import trouble
from tests.clock import every
from tests.laws.worlds import tally, unsound
from tests.meshes import QUEUE, Workflows, eventually, on_host

HEARTBEAT, LEASE, OVERDUE = (timedelta(seconds=s) for s in (0.2, 1.0, 1.0))

NAP = 0.02

TWICE = Retry(2, Constant(timedelta(seconds=0.05)), jitter=False)


@dataclass
class Tally:
    """Which bodies began, in this process: no table, which would be in trouble too."""

    begun: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    async def begin(self, at: StepContext) -> None:
        self.begun[str(at.run_id), at.step, at.attempt] += 1
        await asyncio.sleep(NAP)


async def work(at: StepContext, tally: Tally) -> str:
    await tally.begin(at)
    return at.step


async def large(at: StepContext, tally: Tally) -> str:
    await tally.begin(at)
    return "x" * 100_000


async def stumble(at: StepContext, tally: Tally) -> str:
    await tally.begin(at)
    if at.attempt == 1:
        raise StepError("the first time always breaks")
    return at.step


def _work() -> Any:
    return step(work).takes(context, resource(Tally))


class Chain(Workflow[NoPayload]):
    a, b, c, d, e, f, g, h = (_work() for _ in range(8))
    flow = a >> b >> c >> d >> e >> f >> g >> h >> complete


class Fan(Workflow[NoPayload]):
    first = _work()
    x = step(work, after=[first]).takes(context, resource(Tally))
    y = step(work, after=[first]).takes(context, resource(Tally))
    z = step(stumble, after=[first], retry=TWICE).takes(context, resource(Tally))
    last = step(work, after=[x, y, z]).takes(context, resource(Tally))


class Large(Workflow[NoPayload]):
    a, b, c = (step(large).takes(context, resource(Tally)) for _ in range(3))
    flow = a >> b >> c >> complete


WORKFLOWS: Workflows = [Chain, Fan, Large]


@dataclass
class Load:
    """A mesh that is kept busy: more runs are started as long as it is wanted."""

    mesh: Mesh
    dsn: str
    tally: Tally
    caplog: pytest.LogCaptureFixture
    _starting: asyncio.Task[None] | None = None

    async def is_on(self, workflows: Workflows = (Chain, Fan)) -> None:
        """Begin, and wait until some steps have completed."""
        self._starting = asyncio.create_task(self._start(workflows))
        await self.goes_on()

    async def _start(self, workflows: Workflows) -> None:
        """Each start waits for its commit, however long that takes, and is never refused."""
        async with asyncio.TaskGroup() as starts:
            while True:
                for workflow in workflows:
                    starts.create_task(self.mesh.start_run(workflow))
                await asyncio.sleep(0.1)

    async def goes_on(self, within: float = 10.0) -> float:
        """Wait until more bodies have begun; how many seconds that took."""
        began, wanted = time.monotonic(), self.tally.begun.total() + 20

        async def have_begun() -> bool:
            return self.tally.begun.total() >= wanted

        await eventually(have_begun, within=timedelta(seconds=within))
        return time.monotonic() - began

    async def ends(self, *, cancelled: int = 0) -> None:
        """Start no more, and see that what was started ended as defined, and began only once."""
        assert self._starting is not None
        assert not self._starting.done(), "starting goes on through all"
        starts = self._starting
        await self._stop(starts)
        await eventually(self._all_ended)
        found = await tally(self.dsn)
        assert found.pop("cancelled", 0) == cancelled
        assert set(found) == {"completed"}
        assert await unsound(self.dsn) == []
        wasted = "select step, status from squid_mesh.attempts where step <> 'z' or number > 1"
        assert await every(self.dsn, wasted) == []
        assert set(self.tally.begun.values()) == {1}

    async def _stop(self, starts: asyncio.Task[None]) -> None:
        starts.cancel()
        await asyncio.gather(starts, return_exceptions=True)

    async def _all_ended(self) -> bool:
        try:
            lives = "select 1 from squid_mesh.runs where outcome is null limit 1"
            return not await every(self.dsn, lives)
        except psycopg.OperationalError:
            return False

    def said(self) -> list[str]:
        """What the log says of trouble. It says nothing else, but of jobs that it made up for."""
        ours = [
            record
            for record in self.caplog.records
            if record.name.startswith("squid_mesh") and record.levelno >= logging.WARNING
        ]
        others = [r.getMessage() for r in ours if r.name != trouble.__name__]
        assert len(others) < 10, others
        assert all("due without a job" in message for message in others), others
        return [r.getMessage() for r in ours if r.name == trouble.__name__]

    async def told_once(self, reason: str) -> None:
        """That there was trouble, and that it is over: a line each, whatever happened."""

        async def is_over() -> bool:
            return len(self.said()) > 1

        await eventually(is_over)
        begun, over = self.said()
        assert begun.startswith("the database can't be used as it should")
        assert re.search(reason, begun), begun
        assert over.startswith("the database can be used again, after")


@asynccontextmanager
async def load(
    dsn: str,
    caplog: pytest.LogCaptureFixture,
    *,
    pool: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncGenerator[Load]:
    """A mesh on a host's pool and Oban, about to be busy."""
    tally = Tally()
    caplog.set_level(logging.WARNING, "squid_mesh")
    quick: dict[str, Any] = {"heartbeat": HEARTBEAT, "lease": LEASE, "overdue": OVERDUE}
    async with on_host(
        dsn,
        WORKFLOWS,
        queues={QUEUE: 20},
        resources=[tally],
        pool=pool,
        **(quick | options),
    ) as mesh:
        yield Load(mesh, dsn, tally, caplog)


async def lasts(busy: Load) -> None:
    """Wait until trouble was told, and for as long again as it takes to be refused often."""

    async def is_told() -> bool:
        return bool(busy.said())

    await eventually(is_told)
    await asyncio.sleep(1.0)
