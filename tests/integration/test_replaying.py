"""Replays: a new run of the same payload, on the definition of today."""

from collections.abc import AsyncGenerator
from uuid import uuid4

import pytest
from psycopg import AsyncConnection
from pydantic import SecretStr

from squid_mesh import (
    InvalidPayload,
    InvalidReview,
    InvalidRunId,
    InvalidTrigger,
    Mesh,
    Payload,
    RunNotFound,
    UnknownWorkflow,
    Workflow,
    complete,
    manual,
    pause,
    step,
)
from squid_mesh.telemetry import Event, RunCreated, RunReplayed
from tests.clock import every
from tests.conformance import conforms
from tests.integration.test_gates import audit, snapshot
from tests.meshes import ended, history, on_host, play


class Order(Payload):
    number: int
    token: SecretStr = SecretStr("secret")


class Text(Payload):
    text: str


async def ship(number: int, token: SecretStr) -> str:
    return f"{number} by {token.get_secret_value()}"


async def say(text: str) -> str:
    return text


class Ship(Workflow[Order], name="Ship"):
    by_hand = manual()
    by_call = manual()
    ship = step(ship).takes(number=Order.number, token=Order.token)
    flow = ship >> complete


class ShipLater(Workflow[Order], name="Ship"):
    """The same, as it is deployed next."""

    by_call = manual()
    hold = pause()
    ship = step(ship).takes(number=Order.number, token=Order.token)
    flow = hold >> ship >> complete


class ShipAnything(Workflow[Text], name="Ship"):
    """The same, with another payload."""

    by_call = manual()
    say = step(say).takes(Text.text)
    flow = say >> complete


@pytest.fixture
async def mesh(dsn: str) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, [Ship]) as mesh:
        yield mesh


@conforms("S147")
async def test_a_replay_is_a_new_run_of_the_same_payload(mesh: Mesh) -> None:
    payload = Order(number=7, token=SecretStr("hidden"))
    first = await mesh.start_run(
        Ship, payload, trigger="by_call", key="k", tags={"a": "b"}, priority=2
    )
    source = await ended(mesh, first.id)
    replay = await mesh.replay_run(first.id, actor="ada", comment="once more")
    assert replay.id != first.id
    assert (replay.status, replay.trigger, replay.tags) == ("pending", "by_call", {"a": "b"})
    assert (replay.replayed_from, replay.key, replay.window) == (first.id, None, None)
    assert replay.payload == {"number": 7, "token": "**********"}
    details = await ended(mesh, replay.id)
    assert details.output(Ship.ship) == "7 by hidden"
    assert audit(details) == [("replayed", None)]
    assert (details.audit_events[0].actor, details.audit_events[0].comment) == ("ada", "once more")
    assert await history(mesh, first.id) == source


@conforms("S147")
async def test_whatever_state_a_run_is_in_it_can_be_replayed(dsn: str) -> None:
    async with on_host(dsn, [ShipLater]) as mesh:
        run = await mesh.start_run(ShipLater, Order(number=1))
        replay = await mesh.replay_run(run.id)
        await mesh.cancel_run(replay.id)
        again = await mesh.replay_run(replay.id)
        assert again.replayed_from == replay.id


@conforms("S147")
async def test_it_runs_the_definition_of_today(dsn: str) -> None:
    async with on_host(dsn, [Ship]) as mesh:
        run = await mesh.start_run(Ship, Order(number=1), trigger="by_call")
        by_hand = await play(mesh, Ship, Order(number=2))
        source = await ended(mesh, run.id)
    async with on_host(dsn, [ShipLater]) as mesh:
        replay = await mesh.replay_run(run.id)
        assert replay.definition != source.definition
        assert replay.current_steps == ("hold",)
        with pytest.raises(InvalidTrigger) as refused:
            await mesh.replay_run(by_hand.id)
        assert refused.value.trigger == "by_hand"


async def test_todays_model_must_accept_the_payload(dsn: str) -> None:
    async with on_host(dsn, [Ship]) as mesh:
        run = await mesh.start_run(Ship, Order(number=1), trigger="by_call")
        await ended(mesh, run.id)
    async with on_host(dsn, [ShipAnything]) as mesh:
        before = await snapshot(dsn)
        with pytest.raises(InvalidPayload) as refused:
            await mesh.replay_run(run.id)
        assert refused.value.missing_fields == ("text",)
        assert refused.value.unknown_fields == ("number", "token")
        assert await snapshot(dsn) == before


@conforms("S148")
async def test_what_cannot_be_replayed(mesh: Mesh, dsn: str) -> None:
    run = await play(mesh, Ship, Order(number=1))
    before = await snapshot(dsn)
    with pytest.raises(InvalidRunId):
        await mesh.replay_run("no run")
    with pytest.raises(RunNotFound):
        await mesh.replay_run(uuid4())
    with pytest.raises(InvalidReview):
        await mesh.replay_run(run.id, actor={})
    async with on_host(dsn, [], name="stranger") as stranger:
        with pytest.raises(UnknownWorkflow):
            await stranger.replay_run(run.id)
    assert await snapshot(dsn) == before


@pytest.mark.parametrize("commits", [True, False])
async def test_it_commits_with_the_host_s_own_writes(
    mesh: Mesh, dsn: str, *, commits: bool
) -> None:
    run = await play(mesh, Ship, Order(number=1))
    async with (
        await AsyncConnection.connect(dsn) as host,
        host.transaction(force_rollback=not commits),
    ):
        replay = await mesh.replay_run(run.id, conn=host)
        assert await every(dsn, "select id from squid_mesh.runs") == [(run.id,)]
    if commits:
        assert (await ended(mesh, replay.id)).status == "completed"
    else:
        assert await every(dsn, "select id from squid_mesh.runs") == [(run.id,)]


@conforms("S149")
@pytest.mark.parametrize("with_host", [True, False])
async def test_a_replay_is_told_as_one(dsn: str, *, with_host: bool) -> None:
    events: list[Event] = []
    async with on_host(dsn, [Ship], observers=[events.append]) as mesh:
        run = await play(mesh, Ship, Order(number=1))
        if with_host:
            async with await AsyncConnection.connect(dsn) as host:
                replay = await mesh.replay_run(run.id, conn=host)
        else:
            replay = await mesh.replay_run(run.id)
        await ended(mesh, replay.id)
    told = [event for event in events if event.run_id == replay.id]
    assert isinstance(told[0], RunReplayed)
    assert told[0].replayed_from == run.id
    assert not any(isinstance(event, RunCreated) for event in told)
