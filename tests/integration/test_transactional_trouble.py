"""Transactions that the database, somebody's lock or the clock ends."""

import inspect
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection, Connection
from psycopg.errors import SerializationFailure
from sqlalchemy import text
from sqlalchemy.orm import Session

from squid_mesh import (
    NoPayload,
    Workflow,
)
from squid_mesh.runtime import transactions
from tests.clock import every
from tests.integration.transactional import (
    KINDS,
    InTime,
    InTimeSession,
    InTimeSync,
    InTimeSyncSession,
    Joined,
    OnConnection,
    Plain,
    Rival,
    Stage,
    every_kind,
    nothing,
    staged,
)
from tests.meshes import (
    ended,
    eventually,
    message_of,
    statuses,
    step_of,
)

# -- errors of the database


@every_kind
async def test_a_constraint_that_is_checked_at_the_end_fails_the_step(
    stage: Stage, kind: str
) -> None:
    def violate(handle: Any) -> Any:
        query = "insert into numbers values (1)"
        return done(handle.execute(text(query) if "session" in kind else query))

    run = await stage.plays(KINDS[kind], violate)
    error = step_of(run, "pay").error
    assert error is not None
    assert error.type in {"UniqueViolation", "IntegrityError"}
    assert "numbers_n_key" in error.message
    assert error.attempt == 2, "by the step's policy"
    assert await stage.effects() == []


def done(result: Any) -> Any:
    """What awaiting a result comes to, without its value."""

    async def awaited() -> None:
        await result

    return awaited() if inspect.isawaitable(result) else None


@pytest.mark.parametrize("kind", ["connection", "session"])
async def test_a_conflict_in_the_body_goes_by_the_step_s_policy(stage: Stage, kind: str) -> None:
    async def conflict(handle: Any) -> None:
        if stage.script.calls == 1:
            raise SerializationFailure("could not serialize access")

    run = await stage.plays(KINDS[kind], conflict)
    assert [str(a.status) for a in step_of(run, "pay").attempts] == ["failed", "completed"]
    assert await stage.effects() == ["written"]


TERMINATE = "select pg_terminate_backend(pg_backend_pid())"


@every_kind
async def test_a_connection_that_is_lost_interrupts_the_attempt(stage: Stage, kind: str) -> None:
    """As when the server restarts: it is no failure of the body's, and uses up no try."""

    def terminate(handle: Any) -> Any:
        if stage.script.calls > 1:
            return None
        query = TERMINATE
        return done(handle.execute(text(query) if "session" in kind else query))

    run = await stage.plays(KINDS[kind], terminate)
    assert run.status == "completed"
    assert [str(a.status) for a in step_of(run, "pay").attempts] == ["interrupted", "completed"]
    assert await stage.effects() == ["written"]


async def test_a_body_that_always_loses_its_connection_is_given_up(dsn: str) -> None:
    async with staged(dsn, heartbeat=timedelta(seconds=0.05)) as stage:
        run = await stage.plays(OnConnection, lambda c: c.execute(TERMINATE))
    error = step_of(run, "pay").error
    assert error is not None
    assert error.code == "interrupted"
    assert "connection" in error.message
    assert statuses(run)["rescue"] == "completed"


@asynccontextmanager
async def held(dsn: str, run: UUID) -> AsyncGenerator[None]:
    """A host's transaction that holds a run."""
    async with await AsyncConnection.connect(dsn) as host:
        await host.execute("select 1 from squid_mesh.runs where id = %s for update", (run,))
        yield
        await host.rollback()


@every_kind
async def test_a_run_that_somebody_holds_is_waited_for_with_the_writes(
    stage: Stage, kind: str
) -> None:
    stage.holds(kind)
    run = await stage.mesh.start_run(KINDS[kind])
    await stage.has_begun()
    async with held(stage.dsn, run.id):
        stage.script.gate.set()
        await stage.plays(Plain)
        assert (await stage.mesh.inspect_run(run.id)).status == "running"
    assert (await ended(stage.mesh, run.id)).status == "completed"
    assert stage.script.calls == 1
    assert await stage.effects() == ["written"]


async def test_a_run_that_is_held_for_long_lets_go_of_the_host_s_locks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that holds the run and waits for what the body has locked would wait for good."""
    monkeypatch.setattr(transactions, "PATIENCE", 0.1)
    await every(stage.dsn, "insert into effects (what) values ('shared')")

    async def locks(handle: AsyncConnection[Any]) -> None:
        await handle.execute("update effects set what = what || '!' where what like 'shared%'")
        await stage.script.hold_on_loop(handle)

    stage.script.act = locks
    run = await stage.mesh.start_run(OnConnection)
    await stage.has_begun()
    async with held(stage.dsn, run.id), await AsyncConnection.connect(stage.dsn) as host:
        stage.script.gate.set()
        await host.execute("update effects set what = what || '?' where what like 'shared%'")
    details = await ended(stage.mesh, run.id)
    assert details.status == "completed"
    assert [str(a.status) for a in step_of(details, "pay").attempts][-1] == "completed"
    assert "interrupted" in [str(a.status) for a in step_of(details, "pay").attempts]
    assert sorted(await stage.effects()) == ["shared?!", "written"]


# -- timeouts


@pytest.mark.parametrize("workflow", [InTime, InTimeSession])
async def test_a_body_that_takes_too_long_leaves_no_writes(
    stage: Stage, workflow: type[Workflow[NoPayload]]
) -> None:
    run = await stage.plays(workflow, stage.script.hold_on_loop)
    assert run.status == "failed"
    assert message_of(run) == "timed out after 0.3 s"
    assert await stage.effects() == []


@pytest.mark.parametrize("workflow", [InTimeSync, InTimeSyncSession])
async def test_a_thread_that_takes_too_long_commits_nothing_later(
    stage: Stage, workflow: type[Workflow[NoPayload]]
) -> None:
    """Not even with all its might; and its locks are free at once."""
    came_to: list[BaseException] = []

    def act(handle: Any) -> None:
        stage.script.hold(handle)
        try:
            query = "insert into effects (what) values ('late'); commit"
            handle.execute(text(query) if isinstance(handle, Session) else query)
        except Exception as error:
            came_to.append(error)
            raise

    async def lets_go() -> bool:
        waiting = "select 1 from pg_stat_activity where state like 'idle in transaction%%'"
        return not await every(stage.dsn, waiting)

    run = await stage.plays(workflow, act)
    assert run.status == "failed"
    assert message_of(run) == "timed out after 0.3 s"
    await eventually(lets_go)
    stage.script.gate.set()

    async def is_over() -> bool:
        return bool(came_to)

    await eventually(is_over)
    assert await stage.effects() == []
    stage.script.act = nothing
    assert (await stage.plays(Joined)).status == "completed"


async def test_a_thread_that_waits_in_the_database_is_cancelled_there(stage: Stage) -> None:
    ended: list[BaseException] = []

    def act(handle: Connection[Any]) -> None:
        try:
            handle.execute("select pg_sleep(60)")
        except Exception as error:
            ended.append(error)
            raise

    run = await stage.plays(InTimeSync, act)
    assert message_of(run) == "timed out after 0.3 s"

    async def has_ended() -> bool:
        return bool(ended)

    await eventually(has_ended, within=timedelta(seconds=10))


# -- the end of the process


@every_kind
async def test_a_body_that_the_process_does_not_wait_for_leaves_no_writes(
    dsn: str, kind: str
) -> None:
    """The next process begins it anew."""
    async with staged(dsn) as stage:
        stage.holds(kind)
        run = await stage.mesh.start_run(KINDS[kind])
        await stage.has_begun()
    assert await stage.effects() == []
    async with staged(dsn, makes_tables=False) as heir:
        assert (await ended(heir.mesh, run.id)).status == "completed"
    assert await heir.effects() == ["written"]


# -- runs that wait for each other


async def test_bodies_that_cancel_each_other_s_runs_do_not_wait_for_good(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds the run that the other needs. One gives up, and finds its run cancelled."""
    monkeypatch.setattr(transactions, "PATIENCE", 0.4)
    runs = [run.id for run in await stage.mesh.start_runs(Rival, [{}] * 2)]
    stage.host.rivals = {runs[0]: runs[1], runs[1]: runs[0]}
    stage.host.ready.set()
    statuses = sorted([str((await ended(stage.mesh, run)).status) for run in runs])
    assert statuses == ["cancelled", "completed"]
    assert await stage.effects() == ["written"]
