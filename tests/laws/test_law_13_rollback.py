"""A rolled-back host transaction leaves no run, no job and no notification."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from psycopg import AsyncConnection, OperationalError
from psycopg.sql import SQL, Identifier

from squid_mesh import KeyConflict, Mesh
from squid_mesh.telemetry import Event
from tests.clock import every
from tests.conformance import conforms
from tests.laws.journal import Journal
from tests.laws.workflows import WORKFLOWS, Chain, Fan, Held
from tests.laws.worlds import STATEMENTS, tables, unsound
from tests.meshes import ended, eventually, on_host, own_pool

type Begin = Callable[[Mesh, AsyncConnection[Any]], Awaitable[object]]

NOTHING: dict[str, list[str]] = {"runs": [], "steps": [], "attempts": [], "audit_events": []}


class Ear:
    """Hears what is notified to Oban and to those who wait for runs."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    async def listen(self) -> None:
        for channel in (STATEMENTS.channel, STATEMENTS.rest, "laws"):
            await self._connection.execute(SQL("listen {}").format(Identifier(channel)))

    async def heard(self) -> list[str]:
        """Everything so far: what was sent before this one's own word has been heard by then."""
        await self._connection.execute("notify laws, 'over'")
        words: list[str] = []
        async with aclosing(self._connection.notifies()) as notices:
            async for notice in notices:
                if notice.payload == "over":
                    break
                words.append(notice.payload)
        return words


@pytest.fixture
async def ear(dsn: str) -> AsyncGenerator[Ear]:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        ear = Ear(connection)
        await ear.listen()
        yield ear


async def a_run(mesh: Mesh, conn: AsyncConnection[Any]) -> object:
    return await mesh.start_run(Chain, conn=conn)


async def a_run_with_a_key(mesh: Mesh, conn: AsyncConnection[Any]) -> object:
    return await mesh.start_run(Chain, key="order-1", conn=conn)


async def many_runs(mesh: Mesh, conn: AsyncConnection[Any]) -> object:
    return await mesh.start_runs(Fan, [{}] * 20, conn=conn)


STARTS: list[Begin] = [a_run, a_run_with_a_key, many_runs]
in_every_way = pytest.mark.parametrize("start", STARTS, ids=lambda start: start.__name__)


async def nothing(dsn: str) -> bool:
    jobs = await every(dsn, "select 1 from oban_jobs")
    return await tables(dsn) == NOTHING and not jobs


@conforms("S50")
@in_every_way
async def test_nothing_is_left(dsn: str, ear: Ear, start: Begin) -> None:
    """Whether the host's transaction begins with our call or has begun before."""
    told: list[Event] = []
    async with on_host(dsn, WORKFLOWS, queues={}, observers=[told.append]) as mesh:
        async with await AsyncConnection.connect(dsn) as conn:
            await start(mesh, conn)
            assert await nothing(dsn), "it is seen before the host's commit"
            await conn.rollback()
            assert await nothing(dsn)

            await conn.execute("select 1")
            await start(mesh, conn)
            await conn.rollback()
            assert await nothing(dsn)

            async with conn.transaction(force_rollback=True):
                await start(mesh, conn)
            assert await nothing(dsn)
        assert await ear.heard() == []
        assert told == []


@in_every_way
async def test_of_a_savepoint_that_is_rolled_back(dsn: str, ear: Ear, start: Begin) -> None:
    """The rest of the host's transaction is the host's, and the key is free again."""
    async with (
        on_host(dsn, WORKFLOWS, queues={}) as mesh,
        await AsyncConnection.connect(dsn) as conn,
    ):
        await conn.execute("create table orders (id integer)")
        async with conn.transaction(force_rollback=True):
            await start(mesh, conn)
        await conn.execute("insert into orders values (1)")
        await conn.commit()
        assert await nothing(dsn)
        assert await ear.heard() == []
        assert await every(dsn, "select id from orders") == [(1,)]
        await start(mesh, conn)
        await conn.commit()
        assert not await nothing(dsn)


@in_every_way
async def test_of_a_host_that_is_gone_before_it_commits(dsn: str, ear: Ear, start: Begin) -> None:
    async with on_host(dsn, WORKFLOWS, queues={}) as mesh:
        conn = await AsyncConnection.connect(dsn)
        await conn.execute("select 1")
        await start(mesh, conn)
        await every(dsn, "select pg_terminate_backend(%s)", conn.info.backend_pid)
        with pytest.raises(OperationalError):
            await conn.commit()
        await conn.close()
        assert await nothing(dsn)
        assert await ear.heard() == []


async def test_a_group_whose_key_is_another_s_leaves_nothing(dsn: str) -> None:
    """And the host's transaction is as it was before the call."""
    async with (
        on_host(dsn, WORKFLOWS, queues={}) as mesh,
        await AsyncConnection.connect(dsn) as conn,
    ):
        held = await mesh.start_run(Chain, key="k2")
        await every(dsn, "update squid_mesh.runs set payload = '{\"other\": 1}'")
        before = await tables(dsn)
        with pytest.raises(KeyConflict) as conflict:
            await mesh.start_runs(Chain, [{}, {}, {}], keys=["k1", "k2", "k3"], conn=conn)
        assert conflict.value.run_id == held.id
        await conn.commit()
        assert await tables(dsn) == before


async def test_what_is_committed_is_told_and_driven(dsn: str, ear: Ear, journal: Journal) -> None:
    """The other half: nothing before the host's commit, everything after."""
    told: list[Event] = []
    async with (
        on_host(dsn, WORKFLOWS, resources=[journal], observers=[told.append]) as mesh,
        await AsyncConnection.connect(dsn) as conn,
    ):
        run = await mesh.start_run(Chain, conn=conn)
        assert await ear.heard() == []
        assert told == []
        await conn.commit()
        assert len(await ear.heard()) >= 1
        assert (await ended(mesh, run.id)).status == "completed"
        assert [type(event).__name__ for event in told].count("RunCreated") == 1
    assert await unsound(dsn) == []


async def test_a_cancel_that_is_rolled_back_tells_nobody(
    dsn: str, ear: Ear, journal: Journal
) -> None:
    told: list[str] = []
    async with (
        on_host(
            dsn,
            WORKFLOWS,
            resources=[journal],
            observers=[lambda event: told.append(type(event).__name__)],
        ) as mesh,
        own_pool(dsn) as pool,
    ):
        run = (await mesh.start_run(Held)).id
        await journal.has(1, "work")
        watched = "update squid_mesh.runs set watched = true"
        await every(dsn, watched)
        await ear.heard()
        before = await tables(dsn)
        async with pool.connection() as conn:
            await mesh.cancel_run(run, conn=conn)
            await conn.rollback()
        assert await tables(dsn) == before
        assert await ear.heard() == []
        assert "RunCancelRequested" not in told
        await journal.let_go(run)

        async def is_told() -> bool:
            return "RunEnded" in told

        await eventually(is_told)
        assert (await ended(mesh, run)).status == "completed"
