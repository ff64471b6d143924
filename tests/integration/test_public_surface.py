"""Whatever a caller passes: a call succeeds, or raises a documented error and writes nothing."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection
from pydantic import Field, SecretStr

from squid_mesh import (
    ENDED,
    Mesh,
    NoPayload,
    NotOpen,
    Payload,
    RunStatus,
    StepContext,
    Workflow,
    approval,
    complete,
    context,
    cron,
    manual,
    pause,
    resource,
    step,
)
from tests.clock import one
from tests.conformance import conforms
from tests.integration.junk import Call, calls, is_documented
from tests.meshes import Probe, Workflows, ended, eventually, oban_on, on_host, own_pool
from tests.rows import everything

MANY = 25
"""Paused runs of each kind: some calls with junk in them are good after all, and use one up."""

EXAMPLES = 500

HOUR = timedelta(hours=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Order(Payload):
    number: int = 1
    note: str = "none"
    items: list[dict[str, Any]] = Field(default_factory=list)
    token: SecretStr = SecretStr("hush")


async def say(text: str) -> str:
    return text


async def charge(at: StepContext, probe: Probe) -> dict[str, int]:
    if at.attempt == 1:
        await probe.hold(at.step)
    return {}


class Plain(Workflow[Order]):
    by_hand = manual()
    nightly = cron("0 3 * * *", timezone="Etc/UTC")
    work = step(say).takes(Order.note)


class Halt(Workflow[NoPayload]):
    gate = pause()
    after = step(say).takes("after")
    flow = gate >> after >> complete


class Review(Workflow[NoPayload]):
    gate = approval()
    flow = (gate.on_approved >> complete, gate.on_rejected >> complete)


class Charge(Workflow[NoPayload]):
    gate = step(charge, on_interrupt="pause").takes(context, resource(Probe))
    after = step(say, after=[gate]).takes("after")


WORKFLOWS: Workflows = [Plain, Halt, Review, Charge]


@dataclass
class Prepared:
    """Runs in every state."""

    ended: list[UUID] = field(default_factory=list[UUID])
    pending: list[UUID] = field(default_factory=list[UUID])
    paused: list[UUID] = field(default_factory=list[UUID])
    reviewed: list[UUID] = field(default_factory=list[UUID])
    interrupted: list[UUID] = field(default_factory=list[UUID])

    @property
    def all(self) -> list[UUID]:
        return [*self.ended, *self.pending, *self.paused, *self.reviewed, *self.interrupted]


async def prepare(dsn: str) -> Prepared:
    """Leave runs in every state behind, and nobody who drives them."""
    prepared, probe = Prepared(), Probe()
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as mesh:
        prepared.ended = [run.id for run in await mesh.start_runs(Plain, [Order()] * 3)]
        prepared.paused = [run.id for run in await mesh.start_runs(Halt, [{}] * MANY)]
        prepared.reviewed = [run.id for run in await mesh.start_runs(Review, [{}] * MANY)]
        for run_id in prepared.ended:
            await ended(mesh, run_id)
        await pauses(mesh, 2 * MANY)
        prepared.interrupted = [run.id for run in await mesh.start_runs(Charge, [{}] * 5)]
        await probe.has_begun(5)
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as mesh:
        await pauses(mesh, 2 * MANY + 5)
    async with idle(dsn) as mesh:
        prepared.pending = [run.id for run in await mesh.start_runs(Plain, [Order()] * 3)]
    return prepared


async def pauses(mesh: Mesh, count: int) -> None:
    async def are() -> bool:
        page = await mesh.list_runs(status=RunStatus.PAUSED, limit=1000)
        return len(page.runs) == count

    await eventually(are)


@asynccontextmanager
async def idle(dsn: str) -> AsyncGenerator[Mesh]:
    """A mesh that drives nothing and looks for nothing, so that what is written is the call's."""
    still: dict[str, Any] = {"queues": {}, "heartbeat": HOUR, "lease": 2 * HOUR}
    still |= {"blocked": 4 * HOUR}
    async with on_host(dsn, WORKFLOWS, **still) as mesh:
        yield mesh


@pytest.fixture
def runner() -> Generator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def good(runs: Prepared) -> Mapping[str, Mapping[str, st.SearchStrategy[Any]]]:
    """Each method with good values for its arguments."""
    nothing, key = st.none(), st.none() | st.just("key")
    run = st.sampled_from(runs.all)
    workflow = st.sampled_from([Plain, "Plain"])
    payload = st.sampled_from([Order(), {"number": 7}])
    tags = st.sampled_from([None, {"team": "ops"}])
    actor = st.sampled_from(["ada", {"id": 7}])
    comment, metadata = st.sampled_from([None, "because"]), st.sampled_from([None, {"ticket": 7}])
    decision: dict[str, Any] = {"step": st.sampled_from([None, "gate"]), "comment": comment}
    decision |= {"metadata": metadata, "key": key, "conn": nothing}
    return {
        "start_run": {
            "workflow": workflow,
            "payload": payload,
            "trigger": st.sampled_from([None, "by_hand", "nightly"]),
            "key": key,
            "tags": tags,
            "priority": st.integers(-2, 4),
            "conn": nothing,
        },
        "start_runs": {
            "workflow": workflow,
            "payloads": st.lists(payload, min_size=2, max_size=2),
            "keys": st.sampled_from([None, ["a", None], ["a", "b"]]),
            "tags": tags,
            "conn": nothing,
        },
        "cancel_run": {"run_id": run, "actor": actor, "comment": comment, "conn": nothing},
        "unblock_run": {"run_id": st.sampled_from(runs.paused), "actor": actor, **decision},
        "approve_run": {"run_id": st.sampled_from(runs.reviewed), "actor": actor, **decision},
        "reject_run": {"run_id": st.sampled_from(runs.reviewed), "actor": actor, **decision},
        "resolve_step": {
            "run_id": st.sampled_from(runs.interrupted),
            "how": st.just("complete"),
            "output": st.just({}),
            "actor": actor,
            **decision,
        },
        "replay_run": {"run_id": run, "actor": actor, "comment": comment, "conn": nothing},
        "inspect_run": {"run_id": run, "include_history": st.booleans()},
        "explain_run": {"run_id": run},
        "inspect_run_graph": {"run_id": run, "include_details": st.booleans()},
        "prune": {
            "older_than": st.just(timedelta(days=9999)),
            "statuses": st.sampled_from([ENDED, {RunStatus.FAILED}]),
        },
        "wait_for_run": {
            "run_id": run,
            "until": st.sampled_from([ENDED, {RunStatus.PAUSED}]),
            "timeout": st.just(timedelta(0)),
        },
        "list_runs": {
            "workflow": workflow,
            "status": st.sampled_from([None, RunStatus.PAUSED, ENDED]),
            "trigger": st.sampled_from([None, "by_hand"]),
            "step": st.sampled_from([None, "gate", Halt.gate]),
            "tags": tags,
            "since": st.sampled_from([None, LONG_AGO]),
            "until": st.sampled_from([None, datetime.now(UTC)]),
            "replayed_from": nothing | run,
            "limit": st.integers(1, 1000),
            "cursor": nothing,
        },
        "pause_schedule": {"workflow": workflow, "trigger": st.just("nightly")},
        "resume_schedule": {"workflow": workflow, "trigger": st.just("nightly")},
    }


async def holds(mesh: Mesh, dsn: str, call: Call) -> None:
    """The call succeeds, or is refused in a documented way and has written nothing."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        before = await everything(connection)
        error = await error_of(mesh, call)
        if error is not None:
            assert is_documented(error), f"{type(error).__name__}: {str(error)[:500]}"
            assert await everything(connection) == before


async def error_of(mesh: Mesh, call: Call) -> BaseException | None:
    """What a call raises."""
    try:
        async with asyncio.timeout(20):
            await getattr(mesh, call.method)(**call.arguments)
    except BaseException as error:  # noqa: BLE001  # whether it is a documented one is the question
        return error
    return None


def test_a_wrong_argument_is_refused_and_nothing_is_written(
    dsn: str, runner: asyncio.Runner
) -> None:
    runs = runner.run(prepare(dsn))
    surroundings = AsyncExitStack()
    mesh = runner.run(surroundings.enter_async_context(idle(dsn)))

    @settings(max_examples=EXAMPLES)
    @given(call=calls(good(runs)))
    def every_call_holds(call: Call) -> None:
        runner.run(holds(mesh, dsn, call))

    try:
        every_call_holds()
    finally:
        runner.run(surroundings.aclose())


CALLS: dict[str, Callable[[Mesh], Awaitable[object]]] = {
    "start_run": lambda mesh: mesh.start_run(Plain),
    "start_runs": lambda mesh: mesh.start_runs(Plain, [{}]),
    "cancel_run": lambda mesh: mesh.cancel_run(uuid4()),
    "unblock_run": lambda mesh: mesh.unblock_run(uuid4()),
    "approve_run": lambda mesh: mesh.approve_run(uuid4(), actor="ada"),
    "reject_run": lambda mesh: mesh.reject_run(uuid4(), actor="ada"),
    "resolve_step": lambda mesh: mesh.resolve_step(uuid4(), "retry", actor="ada"),
    "replay_run": lambda mesh: mesh.replay_run(uuid4()),
    "pause_schedule": lambda mesh: mesh.pause_schedule(Plain, "nightly"),
    "resume_schedule": lambda mesh: mesh.resume_schedule(Plain, "nightly"),
}


@conforms("S194")
@pytest.mark.parametrize("call", CALLS)
async def test_a_mesh_that_is_not_open_writes_nothing(dsn: str, call: str) -> None:
    async with own_pool(dsn) as pool:
        mesh = Mesh(pool, oban=oban_on(pool, {}), workflows=WORKFLOWS)
        with pytest.raises(NotOpen):
            await CALLS[call](mesh)


@conforms("S194")
async def test_a_run_is_not_cancelled_by_a_mesh_that_has_closed(dsn: str) -> None:
    async with idle(dsn) as mesh:
        run = await mesh.start_run(Plain)
    async with own_pool(dsn) as pool:
        mesh = Mesh(pool, oban=oban_on(pool, {}), workflows=WORKFLOWS)
        with pytest.raises(NotOpen):
            await mesh.cancel_run(run.id)
    assert await one(dsn, "select status from squid_mesh.runs") == ("pending",)
