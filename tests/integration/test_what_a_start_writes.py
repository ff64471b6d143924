"""What a start leaves in the tables, and in which order it is checked."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from pydantic import Field

from squid_mesh import (
    InvalidPayload,
    InvalidTrigger,
    Mesh,
    NoPayload,
    Payload,
    UnknownWorkflow,
    Workflow,
    complete,
    step,
)
from tests.clock import every, one
from tests.conformance import conforms
from tests.meshes import QUEUE, on_host

ROWS = """
select step, status, open_dependencies, attempt, output is null and input is null
from squid_mesh.steps where run_id = %s order by step
"""
JOBS = """
select args, queue, worker, state::text, priority, max_attempts,
  scheduled_at <= timezone('UTC', now()), attempt
from oban_jobs order by args->>'step'
"""

made: list[int] = []


def a_number() -> int:
    made.append(len(made) + 1)
    return made[-1]


class Stamped(Payload):
    number: int = Field(default_factory=a_number)


async def say(text: str) -> str:
    return text


async def add(left: str, right: str) -> str:
    return left + right


class EntryLast(Workflow[NoPayload]):
    second = step(say).takes("second")
    first = step(say).takes("first")
    flow = first >> second >> complete


class Join(Workflow[NoPayload]):
    left = step(say).takes("left")
    right = step(say, queue="other").takes("right")
    both = step(add).takes(left.output, right.output)


class TakesNumber(Workflow[Stamped]):
    work = step(say).takes("done")


class Elsewhere(Workflow[NoPayload]):
    work = step(say).takes("done")


@pytest.fixture
async def idle(dsn: str) -> AsyncGenerator[Mesh]:
    """A mesh that starts runs and drives none."""
    async with on_host(dsn, [EntryLast, Join, TakesNumber], queues={}) as mesh:
        yield mesh


@conforms("S48", "S53")
async def test_a_flow_begins_at_its_entry_with_one_row_and_one_job(idle: Mesh, dsn: str) -> None:
    run = await idle.start_run(EntryLast)
    assert run.current_steps == ("first",)
    assert await every(dsn, ROWS, run.id) == [("first", "pending", 0, 0, True)]
    args = {"run": str(run.id), "step": "first"}
    (job,) = await every(dsn, JOBS)
    assert job == (args, QUEUE, "squid_mesh.squid_mesh", "available", 5, 32767, True, 0)


@conforms("S49", "S53")
async def test_roots_are_ready_at_once_with_a_job_each(idle: Mesh, dsn: str) -> None:
    run = await idle.start_run(Join)
    assert run.current_steps == ("left", "right")
    assert await every(dsn, ROWS, run.id) == [
        ("both", "waiting", 2, 0, True),
        ("left", "pending", 0, 0, True),
        ("right", "pending", 0, 0, True),
    ]
    jobs = await every(dsn, JOBS)
    assert [(job[0]["step"], job[1], job[3]) for job in jobs] == [
        ("left", QUEUE, "available"),
        ("right", "other", "available"),
    ]


@conforms("S50", "S51")
async def test_a_job_that_cannot_be_inserted_leaves_no_run(idle: Mesh, dsn: str) -> None:
    await every(dsn, "alter table oban_jobs add check (args->>'step' <> 'right')")
    with pytest.raises(Exception, match="oban_jobs"):
        await idle.start_run(Join)
    assert await one(dsn, "select count(*) from squid_mesh.runs") == (0,)
    assert await one(dsn, "select count(*) from squid_mesh.steps") == (0,)
    assert await one(dsn, "select count(*) from oban_jobs") == (0,)


@conforms("S11", "S37")
async def test_a_default_is_made_once_for_each_run(idle: Mesh) -> None:
    made.clear()
    first, second = [await idle.start_run(TakesNumber) for _ in range(2)]
    given = await idle.start_run(TakesNumber, {"number": 7})
    stored = [(await idle.inspect_run(run.id)).payload for run in (first, second, given)]
    assert stored == [{"number": 1}, {"number": 2}, {"number": 7}]
    assert made == [1, 2]


@conforms("S45")
async def test_a_start_is_checked_in_this_order(idle: Mesh, dsn: str) -> None:
    payload: Any = {"wrong": 1}
    with pytest.raises(ValueError, match="priority"):
        await idle.start_run(TakesNumber, payload, trigger="none", priority=9)
    with pytest.raises(UnknownWorkflow):
        await idle.start_run(Elsewhere, payload, trigger="none", priority=9)
    with pytest.raises(InvalidTrigger):
        await idle.start_run(TakesNumber, payload, trigger="none")
    with pytest.raises(InvalidPayload):
        await idle.start_run(TakesNumber, payload)
    assert await every(dsn, "select 1 from squid_mesh.runs") == []
