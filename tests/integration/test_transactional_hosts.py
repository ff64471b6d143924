"""What a host has: pools, engines and listeners of all kinds."""

import asyncio
from typing import Any

import pytest
from psycopg import AsyncConnection, Connection
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

from squid_mesh import (
    Mesh,
)
from tests import database
from tests.clock import every
from tests.integration.transactional import (
    _TABLES,
    WORKFLOWS,
    Host,
    InSession,
    InSyncSession,
    OnConnection,
    OnSyncConnection,
    Plain,
    Script,
    Stage,
    sqlalchemy_dsn,
    staged,
)
from tests.meshes import (
    QUEUE,
    Probe,
    ended,
    oban_on,
    own_pool,
    statuses,
    step_of,
)

# -- what a host has


async def test_what_is_missing_is_named(dsn: str) -> None:
    async with staged(dsn, makers=()) as stage:
        for workflow, missing in (
            (InSession, "async_sessionmaker"),
            (InSyncSession, "sessionmaker"),
        ):
            error = step_of(await stage.plays(workflow), "pay").error
            assert error is not None
            assert (error.code, error.attempt) == ("invalid_input", 1)
            assert f"{missing} in resources=[…]" in error.message


async def test_engines_that_share_no_transaction_are_named(
    dsn: str, databases: database.Databases
) -> None:
    in_memory = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    with databases.fresh() as elsewhere:
        await every(elsewhere, _TABLES)
        for url, options, told in (
            ("sqlite://", in_memory, "the session's engine is on sqlite3"),
            (sqlalchemy_dsn(dsn), {"isolation_level": "AUTOCOMMIT"}, "AUTOCOMMIT"),
            (sqlalchemy_dsn(elsewhere), {}, "has no run"),
        ):
            engine = create_engine(url, **options)
            await every(dsn, "drop table if exists effects, numbers")
            async with staged(dsn, makers=[sessionmaker(engine)]) as stage:
                error = step_of(await stage.plays(InSyncSession), "pay").error
            engine.dispose()
            assert error is not None
            assert (error.code, error.attempt) == ("invalid_input", 1)
            assert told in error.message
            assert stage.script.calls == 0


@pytest.mark.parametrize(
    "options",
    [
        {"row_factory": dict_row},
        {"autocommit": True},
        {"prepare_threshold": None},
        {"options": "-c default_transaction_isolation=serializable"},
    ],
    ids=str,
)
async def test_how_a_host_sets_up_its_pool_does_not_matter(
    dsn: str, options: dict[str, Any]
) -> None:
    seen: list[Any] = []

    async def act(handle: AsyncConnection[Any]) -> None:
        seen.append(await (await handle.execute("select 1 as one")).fetchone())

    def act_sync(handle: Connection[Any]) -> None:
        seen.append(handle.execute("select 1 as one").fetchone())

    await every(dsn, _TABLES)
    script, probe = Script(), Probe()
    async with own_pool(dsn) as obans, own_pool(dsn, kwargs=options) as hosts:
        oban = oban_on(obans)
        mesh = Mesh(hosts, oban=oban, workflows=WORKFLOWS, resources=[script, probe])
        async with oban, mesh:
            stage = Stage(dsn, mesh, script, probe, Host())
            assert statuses(await stage.plays(OnConnection, act))["after"] == "completed"
            assert statuses(await stage.plays(OnSyncConnection, act_sync))["after"] == "completed"
            assert await stage.effects() == ["written"] * 2
    row = {"one": 1} if "row_factory" in options else (1,)
    assert seen == [row, row]


async def test_a_sync_pool_of_the_host_s_is_used(dsn: str) -> None:
    with ConnectionPool(dsn, kwargs={"application_name": "mine"}, min_size=1, open=True) as pool:
        async with staged(dsn, extra=(pool,)) as stage:
            run = await stage.plays(
                OnSyncConnection, lambda c: c.execute("show application_name").fetchone()[0]
            )
    assert run.context["pay"] == "mine"


async def test_a_host_s_listeners_are_heard(stage: Stage) -> None:
    """And what they raise after the commit changes nothing of it."""
    told: list[str] = []

    def act(handle: Session) -> None:
        event.listen(handle, "before_commit", lambda _: told.append("before"))
        event.listen(handle, "after_commit", after)

    def after(_: Session) -> None:
        told.append("after")
        raise ValueError("a listener's")

    run = await stage.plays(InSyncSession, act)
    assert statuses(run)["pay"] == "completed"
    assert told == ["before", "after"]
    assert await stage.effects() == ["written"]


async def test_bodies_that_take_their_time_leave_connections_to_others(dsn: str) -> None:
    """The pool has four: two are left to Oban and to whoever calls the mesh."""
    async with staged(dsn, pool={"max_size": 4, "timeout": 5}, queues={QUEUE: 20}) as stage:
        stage.script.act = stage.script.hold_on_loop
        slow = await stage.mesh.start_runs(OnConnection, [{}] * 10)
        await stage.has_begun()
        async with asyncio.timeout(4):
            run = await stage.mesh.start_run(Plain, key="needs a connection of the pool")
            assert (await ended(stage.mesh, run.id)).status == "completed"
        assert stage.script.calls == 2
        stage.script.gate.set()
        for one_of_them in slow:
            assert (await ended(stage.mesh, one_of_them.id)).status == "completed"
    assert await stage.effects() == ["written"] * 10
