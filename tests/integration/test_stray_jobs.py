"""Jobs that nobody asked for: of what isn't ready, has been, is paused, or never was."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from squid_mesh import Mesh, NoPayload, Workflow, approval, complete, pause, resource, step
from tests.clock import every
from tests.conformance import conforms
from tests.meshes import (
    QUEUE,
    Probe,
    Workflows,
    ended,
    eventually,
    history,
    on_host,
    play,
    statuses,
    step_of,
)

STRAY = """
insert into oban_jobs (queue, worker, args, max_attempts)
values (%s, 'squid_mesh.squid_mesh', %s::jsonb, %s)
returning id
"""


async def hold(probe: Probe, what: str) -> None:
    await probe.hold(what)


async def note(probe: Probe, what: str) -> None:
    probe.note(what)


class Chain(Workflow[NoPayload]):
    first = step(note).takes(resource(Probe), "first")
    held = step(hold).takes(resource(Probe), "held")
    last = step(note).takes(resource(Probe), "last")
    flow = first >> held >> last >> complete


class Join(Workflow[NoPayload]):
    first = step(note).takes(resource(Probe), "first")
    held = step(hold).takes(resource(Probe), "held")
    last = step(note, after=[first, held]).takes(resource(Probe), "last")


class Paused(Workflow[NoPayload]):
    gate = pause()
    last = step(note).takes(resource(Probe), "last")
    flow = gate >> last >> complete


class Reviewed(Workflow[NoPayload]):
    gate = approval()
    last = step(note).takes(resource(Probe), "last")
    flow = (gate.on_approved >> last >> complete, gate.on_rejected >> complete)


WORKFLOWS: Workflows = [Chain, Join, Paused, Reviewed]


@pytest.fixture
async def mesh(dsn: str, probe: Probe) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as mesh:
        yield mesh


async def deliver(dsn: str, run_id: UUID, *names: str) -> None:
    """Have Oban deliver a job for each of these steps, and wait until it has."""
    for name in names:
        await delivered(dsn, {"run": str(run_id), "step": name})


async def delivered(dsn: str, args: Any, *, attempts: int = 32767) -> tuple[str, int]:
    """Have Oban deliver a job with these arguments: the state it left it in, and its errors."""
    text = orjson.dumps(args).decode()
    ((job,),) = await every(dsn, STRAY, QUEUE, text, attempts)
    look = "select state::text, jsonb_array_length(errors) from oban_jobs where id = %s"

    async def is_over() -> bool:
        return (await every(dsn, look, job))[0][0] not in {"available", "executing"}

    await eventually(is_over)
    ((state, errors),) = await every(dsn, look, job)
    return state, errors


async def rows(dsn: str, run_id: UUID) -> list[Any]:
    """All that a delivery could write about a run."""
    found = [await every(dsn, "select r::text from squid_mesh.runs r where id = %s", run_id)]
    for table in ("steps", "attempts", "audit_events"):
        query = f"select t::text from squid_mesh.{table} t where run_id = %s order by 1"  # noqa: S608
        found.append(await every(dsn, query, run_id))
    return found


@conforms("S76", "S77", "S79")
@pytest.mark.parametrize("workflow", [Chain, Join])
async def test_of_a_step_that_is_not_ready_is_running_or_has_completed(
    mesh: Mesh, dsn: str, probe: Probe, workflow: type[Workflow[NoPayload]]
) -> None:
    run = await mesh.start_run(workflow)
    await probe.begun.wait()

    async def first_is_over() -> bool:
        return step_of(await history(mesh, run.id), "first").status == "completed"

    await eventually(first_is_over)
    before = await rows(dsn, run.id)
    await deliver(dsn, run.id, "last", "first", "held")
    assert await rows(dsn, run.id) == before
    probe.gate.set()
    details = await ended(mesh, run.id)
    assert set(statuses(details).values()) == {"completed"}
    assert sorted(probe.calls) == ["first", "held", "last"]
    assert all(len(state.attempts) == 1 for state in details.steps)


@conforms("S74", "S140")
@pytest.mark.parametrize("workflow", [Paused, Reviewed])
async def test_of_a_run_that_is_paused(
    mesh: Mesh, dsn: str, probe: Probe, workflow: type[Workflow[NoPayload]]
) -> None:
    run = await mesh.start_run(workflow)

    async def waits() -> bool:
        return (await mesh.inspect_run(run.id)).status == "paused"

    await eventually(waits)
    before = await rows(dsn, run.id)
    await deliver(dsn, run.id, "gate", "last")
    assert await rows(dsn, run.id) == before
    assert probe.calls == []


@conforms("S74", "S75", "S83")
async def test_of_a_run_that_is_being_cancelled_and_then_is(
    mesh: Mesh, dsn: str, probe: Probe
) -> None:
    run = await mesh.start_run(Chain)
    await probe.begun.wait()
    assert (await mesh.cancel_run(run.id)).status == "cancelling"
    before = await rows(dsn, run.id)
    await deliver(dsn, run.id, "first", "held", "last")
    assert await rows(dsn, run.id) == before
    probe.gate.set()
    assert (await ended(mesh, run.id)).status == "cancelled"
    before = await rows(dsn, run.id)
    await deliver(dsn, run.id, "first", "held", "last")
    assert await rows(dsn, run.id) == before
    assert probe.calls == ["first", "held"]


@conforms("S84")
async def test_of_nothing_that_there_is(mesh: Mesh, dsn: str, probe: Probe) -> None:
    run = await mesh.start_run(Chain)
    await probe.begun.wait()
    before = await rows(dsn, run.id)
    assert await delivered(dsn, {"run": str(run.id), "step": "nowhere"}) == ("completed", 0)
    assert await delivered(dsn, {"run": str(uuid4()), "step": "first"}) == ("completed", 0)
    assert await rows(dsn, run.id) == before


NOBODY = str(UUID(int=7))
MALFORMED: list[Any] = [
    {},
    {"run": "no run", "step": "first"},
    {"run": None, "step": "first"},
    {"run": 7, "step": "first"},
    {"run": NOBODY},
    {"run": NOBODY, "step": 7},
    {"run": NOBODY, "step": None},
    {"cron": None},
    {"cron": {"workflow": "W"}},
    {"cron": {"workflow": "W", "trigger": "t", "window": "soon"}},
]


@conforms("S84", "S166")
@pytest.mark.parametrize("args", MALFORMED, ids=repr)
async def test_of_nothing_that_can_be_read(mesh: Mesh, dsn: str, probe: Probe, args: Any) -> None:
    """It has failed, as Oban keeps it; the mesh goes on."""
    assert await delivered(dsn, args, attempts=1) == ("discarded", 1)
    probe.gate.set()
    assert (await play(mesh, Chain)).status == "completed"
