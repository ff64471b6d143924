"""One step, then two hundred beside each other, then one that takes what they left."""

from __future__ import annotations

import asyncio
import itertools
import time
from functools import partial
from types import new_class
from typing import Any

from dbos import DBOS

from bench.endings import Endings
from bench.meter import Meter
from bench.studies import Case, Row
from bench.studies.rows import costs, spread
from bench.systems.dbos import launch
from squid_mesh import Mesh, Payload, Workflow, step

WIDTH = 200
STEPS = WIDTH + 2
ALONE = 40
TOGETHER = 10


class FanPayload(Payload):
    """A run's number."""

    number: int


async def begin(number: int) -> int:
    """Begin."""
    return number


async def part(number: int) -> int:
    """One of many."""
    return number + 1


async def total(parts: list[int]) -> int:
    """Take all of them."""
    return sum(parts)


def _fan(names: dict[str, Any]) -> None:
    root = step(begin).takes(FanPayload.number)
    parts = [step(part).takes(root.output) for _ in range(WIDTH)]
    end = step(total).takes(parts=[one.output for one in parts])
    names |= {"root": root, "end": end} | {f"x{n}": one for n, one in enumerate(parts)}


Fan: Any = new_class("Fan", (Workflow[FanPayload],), exec_body=_fan)


async def squid(places: int, dsn: str, scale: float) -> list[Row]:
    """Runs alone, then several at a time, on so many places of their queue."""
    ended = Endings()
    mesh = Mesh.connect(
        dsn, workflows=[Fan], queues={"squid_mesh": places}, install=True, observers=[ended]
    )
    numbers = itertools.count()
    count = max(int(ALONE * scale), 5)

    async def alone() -> float:
        began = time.perf_counter()
        run = await mesh.start_run(Fan, FanPayload(number=next(numbers)))
        await ended.of(run.id)
        return time.perf_counter() - began

    async def several() -> None:
        for _ in range(count // TOGETHER + 1):
            await alone()

    async with mesh:
        for _ in range(5):
            await alone()
        with Meter(dsn) as meter:
            took = [await alone() for _ in range(count)]
        one_by_one = costs(meter.measured(count * STEPS))
        with Meter(dsn) as meter:
            await asyncio.gather(*(several() for _ in range(TOGETHER)))
        together = costs(meter.measured((count // TOGETHER + 1) * TOGETHER * STEPS))
        run = (await mesh.list_runs(limit=1)).runs[0]
        details = await mesh.inspect_run(run.id, include_history=True)
        assert details.status == "completed", details
        assert len(details.steps) == STEPS
        assert details.output(Fan.end) == WIDTH * (details.output(Fan.root) + 1)
    return [
        {"places": places, "runs": "one by one"} | spread("a run", took) | one_by_one,
        {"places": places, "runs": f"{TOGETHER} at a time"} | together,
    ]


@DBOS.step()
async def dbos_part(number: int) -> int:
    """One of many."""
    return number + 1


@DBOS.workflow()
async def dbos_fan(number: int) -> int:
    """One, two hundred at once, one."""
    root = await dbos_part(number - 1)
    parts = await asyncio.gather(*(dbos_part(root) for _ in range(WIDTH)))
    return await dbos_part(sum(parts))


async def dbos(dsn: str, scale: float) -> list[Row]:
    """The same with DBOS, alone."""
    launch(dsn)
    count = max(int(10 * scale), 3)
    took: list[float] = []
    with Meter(dsn) as meter:
        for number in range(count):
            began = time.perf_counter()
            handle: Any = await DBOS.start_workflow_async(dbos_fan, number)
            await handle.get_result()
            took.append(time.perf_counter() - began)
    measured = meter.measured(count * STEPS)
    DBOS.destroy()
    return [{"runs": "one by one"} | spread("a run", took) | costs(measured)]


CASES: dict[str, Case] = {
    **{f"{places} places": partial(squid, places) for places in (10, 20, 200)},
    "dbos": dbos,
}
