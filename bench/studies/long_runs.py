"""Runs of ten, a hundred and a thousand steps: what a step costs must not depend on its place."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import pairwise
from types import new_class
from typing import Any

from bench.endings import Endings
from bench.meter import Meter
from bench.studies import Case, Row
from bench.studies.rows import costs
from squid_mesh import Mesh, Payload, Workflow, complete, step

STEPS = 60_000
AT_A_TIME = 20


class LongPayload(Payload):
    """A run's number."""

    number: int = 0


async def first(number: int) -> dict[str, int]:
    """Begin."""
    return {"number": number}


async def following(before: dict[str, int]) -> dict[str, int]:
    """Pass it on."""
    return before


def chain(length: int) -> Any:
    """A workflow of so many steps, one after the other."""

    def body(names: dict[str, Any]) -> None:
        steps = [step(first).takes(LongPayload.number)]
        for _ in range(length - 1):
            steps.append(step(following).takes(steps[-1].output))
        names |= {f"s{number}": one for number, one in enumerate(steps)}
        names["flow"] = *(one >> other for one, other in pairwise(steps)), steps[-1] >> complete

    return new_class(f"Chain{length}", (Workflow[LongPayload],), exec_body=body)


async def long(length: int, dsn: str, scale: float) -> list[Row]:
    """As many runs as make the same number of steps."""
    workflow = chain(length)
    ended = Endings()
    runs = max(int(STEPS * scale) // length, AT_A_TIME)
    mesh = Mesh.connect(
        dsn, workflows=[workflow], queues={"squid_mesh": AT_A_TIME}, install=True, observers=[ended]
    )
    async with mesh:
        run = await mesh.start_run(workflow)
        await ended.of(run.id)
        ended.expect(runs)
        with Meter(dsn) as meter:
            payloads = [LongPayload(number=n) for n in range(runs)]
            await asyncio.gather(mesh.start_runs(workflow, payloads), ended.all.wait())
        details = await mesh.inspect_run(run.id, include_history=True)
        assert len(details.steps) == length
    return [{"steps a run": length, "runs": runs} | costs(meter.measured(runs * length))]


CASES: dict[str, Case] = {f"{length} steps": partial(long, length) for length in (10, 100, 1000)}
