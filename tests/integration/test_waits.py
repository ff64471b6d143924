"""Durable waits: they sleep in the database and nowhere else."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import UUID

import pytest

from squid_mesh import Mesh, NoPayload, Payload, RunDetails, Workflow, complete, step, wait
from tests.clock import advance, every, now, one, wake_jobs
from tests.conformance import conforms
from tests.meshes import Workflows, ended, eventually, history, on_host, step_of

DAY = timedelta(days=1)


class Delay(Payload):
    delay: timedelta


async def say(text: str) -> str:
    return text


async def choose() -> timedelta:
    return 2 * DAY


class CoolOff(Workflow[NoPayload]):
    before = step(say).takes("before")
    cool_off = wait(30 * DAY)
    after = step(say).takes("after")
    flow = before >> cool_off >> after >> complete


class AsPaid(Workflow[Delay]):
    cool_off = wait(Delay.delay)
    after = step(say, after=[cool_off]).takes("after")


class AsChosen(Workflow[NoPayload]):
    choice = step(choose).takes()
    cool_off = wait(choice.output)
    flow = choice >> cool_off >> complete


WORKFLOWS: Workflows = [CoolOff, AsPaid, AsChosen]


@pytest.fixture
async def mesh(dsn: str) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS) as mesh:
        yield mesh


async def asleep(mesh: Mesh, run_id: UUID) -> RunDetails:
    """Wait until the run sleeps in `cool_off`."""

    async def sleeps() -> bool:
        return step_of(await history(mesh, run_id), "cool_off").status == "scheduled"

    await eventually(sleeps)
    return await history(mesh, run_id)


@conforms("S125")
async def test_a_sleeping_run_is_running_and_says_until_when(mesh: Mesh, dsn: str) -> None:
    started = await mesh.start_run(CoolOff)
    run = await asleep(mesh, started.id)

    assert run.status == "running"
    assert run.current_steps == ("cool_off",)
    due = step_of(run, "cool_off").due_at
    assert due is not None
    assert timedelta() <= due - started.inserted_at - 30 * DAY < timedelta(seconds=10)
    assert step_of(run, "after").status == "waiting"


@conforms("S89", "S125")
async def test_a_wait_completes_when_its_time_has_come(mesh: Mesh, dsn: str) -> None:
    run = await mesh.start_run(CoolOff)
    await asleep(mesh, run.id)
    await advance(dsn, 30 * DAY)
    details = await ended(mesh, run.id)

    assert details.status == "completed"
    assert details.output(CoolOff.after) == "after"
    waited = step_of(details, "cool_off")
    assert waited.status == "completed"
    assert [(a.number, str(a.status)) for a in waited.attempts] == [(1, "completed")]
    assert "cool_off" not in details.context


@conforms("S125")
async def test_a_wait_is_not_over_a_moment_before(mesh: Mesh, dsn: str) -> None:
    run = await mesh.start_run(CoolOff)
    await asleep(mesh, run.id)
    await advance(dsn, 30 * DAY - timedelta(minutes=1))
    await wake_jobs(dsn)

    async def is_back() -> bool:
        rows = await every(
            dsn, "select 1 from oban_jobs where meta ? 'snoozed' and state = 'scheduled'"
        )
        return bool(rows)

    await eventually(is_back)
    assert step_of(await history(mesh, run.id), "cool_off").status == "scheduled"
    (left,) = await one(
        dsn,
        "select extract(epoch from scheduled_at - timezone('UTC', now())) from oban_jobs"
        " where state = 'scheduled'",
    )
    assert 50 < left <= 61
    await advance(dsn, timedelta(minutes=1, seconds=1))
    assert (await ended(mesh, run.id)).status == "completed"


@pytest.mark.parametrize(
    ("delay", "slept"),
    [
        (timedelta(hours=5), timedelta(hours=5)),
        (timedelta(days=3650000), timedelta(days=3650)),
    ],
)
async def test_a_wait_may_come_from_the_payload(
    mesh: Mesh, dsn: str, delay: timedelta, slept: timedelta
) -> None:
    started = await mesh.start_run(AsPaid, Delay(delay=delay))
    run = await asleep(mesh, started.id)
    due = step_of(run, "cool_off").due_at
    assert due is not None
    assert timedelta() <= due - started.inserted_at - slept < timedelta(seconds=10)
    await advance(dsn, slept)
    assert (await ended(mesh, run.id)).output(AsPaid.after) == "after"


@conforms("S15")
@pytest.mark.parametrize("delay", [timedelta(0), timedelta(days=-3)])
async def test_a_wait_for_no_time_is_over_at_once(mesh: Mesh, delay: timedelta) -> None:
    run = await mesh.start_run(AsPaid, Delay(delay=delay))
    assert (await ended(mesh, run.id)).status == "completed"


@conforms("S15", "S126")
async def test_a_wait_may_come_from_an_output(mesh: Mesh, dsn: str) -> None:
    run = await mesh.start_run(AsChosen)
    details = await asleep(mesh, run.id)
    due = step_of(details, "cool_off").due_at
    assert due is not None
    assert abs(due - await now(dsn) - 2 * DAY) < timedelta(seconds=10)
    await advance(dsn, 2 * DAY)
    assert (await ended(mesh, run.id)).status == "completed"


@conforms("S125")
async def test_a_sleeping_run_needs_no_process(dsn: str) -> None:
    async with on_host(dsn, WORKFLOWS) as mesh:
        run = await mesh.start_run(CoolOff)
        await asleep(mesh, run.id)
    await advance(dsn, 30 * DAY)
    async with on_host(dsn, WORKFLOWS) as another:
        assert (await ended(another, run.id)).status == "completed"
