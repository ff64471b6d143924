"""Starting runs: what is accepted, what is stored, and what a key is for."""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError

from squid_mesh import (
    InvalidPayload,
    InvalidTrigger,
    KeyConflict,
    Mesh,
    NoPayload,
    Payload,
    PayloadTooLarge,
    SquidMeshError,
    UnknownWorkflow,
    Window,
    Workflow,
    cron,
    manual,
    resource,
    step,
)
from tests.clock import every, one
from tests.conformance import conforms
from tests.meshes import Probe, ended, oban_on, on_host, own_pool, play

SECONDS = timedelta(seconds=5)


class Item(BaseModel):
    sku: str
    count: int = 1


class Order(Payload):
    number: int
    items: list[Item] = Field(default_factory=list)
    note: str = "none"
    token: SecretStr = SecretStr("hush")


async def echo(number: int, note: str) -> str:
    return f"{number} {note}"


async def hold(probe: Probe) -> None:
    await probe.hold("held")


def tonight(_: Window) -> Order:
    return Order(number=1)


class TakeOrder(Workflow[Order]):
    by_hand = manual()
    nightly = cron("0 3 * * *", timezone="Etc/UTC", payload=tonight)
    take = step(echo).takes(Order.number, Order.note)


class Nightly(Workflow[NoPayload]):
    work = step(hold).takes(resource(Probe))


class Elsewhere(Workflow[NoPayload]):
    work = step(hold).takes(resource(Probe))


@pytest.fixture
async def mesh(dsn: str, probe: Probe) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, [TakeOrder, Nightly], resources=[probe]) as mesh:
        yield mesh


async def rows(dsn: str) -> tuple[int, int, int]:
    """How many runs, steps and jobs there are."""
    counts = await one(
        dsn,
        "select (select count(*) from squid_mesh.runs), (select count(*) from squid_mesh.steps),"
        " (select count(*) from oban_jobs where args ? 'run')",
    )
    return (counts[0], counts[1], counts[2])


@conforms("S43", "S47", "S151")
async def test_a_started_run_is_pending_and_tells_what_was_stored(mesh: Mesh) -> None:
    run = await mesh.start_run(
        TakeOrder, Order(number=7, items=[Item(sku="a")]), tags={"team": "ops"}, key="k"
    )
    assert (run.workflow, run.trigger, run.status) == ("TakeOrder", "by_hand", "pending")
    assert run.current_steps == ("take",)
    assert run.payload == {
        "number": 7,
        "items": [{"sku": "a", "count": 1}],
        "note": "none",
        "token": "**********",
    }
    assert (run.key, run.tags, run.created) == ("k", {"team": "ops"}, True)
    assert (run.error, run.window, run.replayed_from, run.ended_at) == (None,) * 4
    assert run.inserted_at == run.updated_at
    assert run.id.version == 7


@conforms("S52", "S81")
async def test_what_was_started_is_what_is_read_again(mesh: Mesh, probe: Probe) -> None:
    run = await mesh.start_run(Nightly)
    await probe.begun.wait()
    again = await mesh.inspect_run(run.id)
    assert (again.id, again.workflow, again.definition) == (run.id, run.workflow, run.definition)
    assert (again.payload, again.trigger, again.tags) == (run.payload, run.trigger, run.tags)
    assert again.inserted_at == run.inserted_at
    assert again.status == "running"
    probe.gate.set()


@conforms("S37")
async def test_defaults_are_stored_once_and_secrets_as_they_are(mesh: Mesh, dsn: str) -> None:
    run = await mesh.start_run(TakeOrder, Order(number=7))
    (stored,) = await one(dsn, "select payload from squid_mesh.runs where id = %s", run.id)
    assert stored == {"number": 7, "items": [], "note": "none", "token": "hush"}


@conforms("S38")
async def test_a_mapping_is_a_payload_too(mesh: Mesh) -> None:
    run = await play(mesh, TakeOrder, {"number": 7, "note": "from a form"})
    assert run.output(TakeOrder.take) == "7 from a form"


@conforms("S46", "S47")
async def test_another_trigger_may_be_named(mesh: Mesh) -> None:
    run = await mesh.start_run(TakeOrder, Order(number=7), trigger="nightly")
    assert run.trigger == "nightly"
    assert run.window is None


async def test_a_workflow_without_a_payload_is_started_by_itself(mesh: Mesh, probe: Probe) -> None:
    probe.gate.set()
    run = await play(mesh, Nightly)
    assert (run.status, run.payload) == ("completed", {})


@conforms("S40")
async def test_every_problem_of_a_mapping_is_told_at_once(mesh: Mesh, dsn: str) -> None:
    wrong = {"note": 7, "extra": 1, "another": 2, "items": [{"sku": "a", "count": "three"}]}
    with pytest.raises(InvalidPayload) as caught:
        await mesh.start_run(TakeOrder, wrong)

    assert caught.value.workflow == "TakeOrder"
    assert caught.value.missing_fields == ("number",)
    assert caught.value.unknown_fields == ("another", "extra")
    assert set(caught.value.invalid_fields) == {"note", "items.0.count"}
    for told in ("missing: number", "unknown: another, extra", "items.0.count: "):
        assert told in str(caught.value)
    assert await rows(dsn) == (0, 0, 0)


@conforms("S36", "S42")
@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "7"},
        {"number": 7.5},
        {"number": True},
        {"number": None},
        {"number": 7, "note": "a\0b"},
        {"number": 7, "note": "\ud800"},
        {"number": 2**64},
        {"number": 7, "items": [object()]},
        [("number", 7)],
        "number",
        7,
    ],
    ids=repr,
)
async def test_a_wrong_payload_is_refused_and_leaves_nothing(
    mesh: Mesh, dsn: str, wrong: Any
) -> None:
    with pytest.raises(InvalidPayload) as caught:
        await mesh.start_run(TakeOrder, wrong)
    assert isinstance(caught.value, ValueError)
    assert await rows(dsn) == (0, 0, 0)


@conforms("S39")
async def test_a_payload_is_wanted_where_fields_are_required(mesh: Mesh) -> None:
    with pytest.raises(InvalidPayload) as caught:
        await mesh.start_run(TakeOrder)
    assert caught.value.missing_fields == ("number",)


async def test_a_refused_payload_does_not_repeat_its_secrets(mesh: Mesh) -> None:
    with pytest.raises(InvalidPayload) as caught:
        await mesh.start_run(TakeOrder, {"number": "sesame", "token": ["sesame"]})
    assert "sesame" not in str(caught.value)


async def test_a_typed_payload_raises_pydantic_s_own_error_in_the_caller() -> None:
    with pytest.raises(ValidationError):
        Order(number="7")  # type: ignore[arg-type]  # what the test is about


async def test_another_workflow_s_payload_is_refused(mesh: Mesh) -> None:
    with pytest.raises(InvalidPayload, match="NoPayload"):
        await mesh.start_run(TakeOrder, NoPayload())  # type: ignore[misc]  # checkers see it


@conforms("S43")
async def test_a_trigger_that_is_not_declared_is_refused(mesh: Mesh, dsn: str) -> None:
    with pytest.raises(InvalidTrigger, match="it declares by_hand, nightly") as caught:
        await mesh.start_run(TakeOrder, Order(number=1), trigger="hourly")
    assert caught.value.declared == ("by_hand", "nightly")
    assert await rows(dsn) == (0, 0, 0)


@conforms("S44")
async def test_a_workflow_that_the_mesh_was_not_given_is_refused(mesh: Mesh) -> None:
    with pytest.raises(UnknownWorkflow, match="Elsewhere"):
        await mesh.start_run(Elsewhere)


async def test_a_payload_of_more_than_a_mebibyte_is_refused(mesh: Mesh, dsn: str) -> None:
    with pytest.raises(PayloadTooLarge, match="1,048,576") as caught:
        await mesh.start_run(TakeOrder, Order(number=1, note="x" * 1024 * 1024))
    assert caught.value.limit == 1024 * 1024
    assert caught.value.size > caught.value.limit
    assert await rows(dsn) == (0, 0, 0)


# -- keys


async def test_a_known_key_gives_the_run_that_holds_it_as_it_is_now(mesh: Mesh, dsn: str) -> None:
    first = await mesh.start_run(TakeOrder, Order(number=7), key="k")
    await ended(mesh, first.id)
    again = await mesh.start_run(TakeOrder, {"number": 7}, key="k")

    assert (again.id, again.created, again.status) == (first.id, False, "completed")
    assert again.ended_at is not None
    assert (await rows(dsn))[:2] == (1, 1)


async def test_a_key_belongs_to_one_workflow(mesh: Mesh, probe: Probe) -> None:
    probe.gate.set()
    first = await mesh.start_run(TakeOrder, Order(number=7), key="k")
    second = await mesh.start_run(Nightly, key="k")
    assert second.created
    assert second.id != first.id


@pytest.mark.parametrize(
    ("payload", "trigger"), [({"number": 8}, "by_hand"), ({"number": 7}, "nightly")]
)
async def test_a_key_used_for_something_else_is_a_conflict(
    mesh: Mesh, dsn: str, payload: Mapping[str, Any], trigger: str
) -> None:
    first = await mesh.start_run(TakeOrder, Order(number=7), key="k")
    with pytest.raises(KeyConflict, match="'k'") as caught:
        await mesh.start_run(TakeOrder, payload, key="k", trigger=trigger)
    assert caught.value.run_id == first.id
    assert (await rows(dsn))[0] == 1


async def test_many_starts_with_one_key_at_once_make_one_run(mesh: Mesh, dsn: str) -> None:
    async with on_host(dsn, [TakeOrder], name="another", queues={"other": 1}) as another:
        runs = await asyncio.gather(
            *(m.start_run(TakeOrder, Order(number=7), key="k") for m in [mesh, another] * 20)
        )
    assert len({run.id for run in runs}) == 1
    assert [run.created for run in runs].count(True) == 1
    assert (await rows(dsn))[:2] == (1, 1)


async def test_many_starts_at_once_make_a_run_each(mesh: Mesh, dsn: str) -> None:
    runs = await asyncio.gather(
        *(mesh.start_run(TakeOrder, Order(number=n), key=str(n)) for n in range(150))
    )
    assert len({run.id for run in runs}) == 150
    assert all(run.payload and run.payload["number"] == n for n, run in enumerate(runs))
    assert {(await ended(mesh, run.id)).status for run in runs} == {"completed"}


# -- what isn't part of the payload


async def test_urgent_runs_begin_first(dsn: str, probe: Probe) -> None:
    async with own_pool(dsn) as pool:
        mesh = Mesh(pool, oban=oban_on(pool, {}), workflows=[TakeOrder])
        async with mesh:
            for priority in (4, 0, -2):
                await mesh.start_run(TakeOrder, Order(number=1), priority=priority)
    priorities = [
        p
        for (p,) in await every(
            dsn, "select priority from oban_jobs where args ? 'run' order by id"
        )
    ]
    assert priorities == sorted(set(priorities), reverse=True)


@pytest.mark.parametrize(
    "options",
    [
        {"key": "a\0b"},
        {"key": os.urandom(6000).hex()},
        {"tags": {"a": "b\0"}},
        {"tags": {"a\0": "b"}},
        {"tags": {"a": object()}},
        {"priority": 5},
        {"priority": -3},
        {"priority": 100_000},
    ],
    ids=["nul", "long", "tag", "tag's name", "object", "5", "-3", "100000"],
)
async def test_options_that_cannot_be_stored_are_refused(
    mesh: Mesh, dsn: str, options: Mapping[str, Any]
) -> None:
    async with asyncio.timeout(SECONDS.total_seconds()):
        with pytest.raises((SquidMeshError, ValueError, TypeError)):
            await mesh.start_run(TakeOrder, Order(number=1), **options)
    assert await rows(dsn) == (0, 0, 0)


async def test_a_start_that_is_refused_does_not_hold_up_others(mesh: Mesh) -> None:
    async def bad() -> None:
        with pytest.raises((SquidMeshError, ValueError)):
            await mesh.start_run(TakeOrder, Order(number=1), key=os.urandom(6000).hex())

    async with asyncio.timeout(SECONDS.total_seconds()), asyncio.TaskGroup() as tasks:
        good = [tasks.create_task(play(mesh, TakeOrder, Order(number=n))) for n in range(5)]
        tasks.create_task(bad())
    assert {task.result().status for task in good} == {"completed"}
