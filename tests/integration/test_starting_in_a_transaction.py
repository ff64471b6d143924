"""`conn=`: a run that commits, or not, with the host's own writes."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from psycopg import AsyncConnection, IsolationLevel
from psycopg.errors import SerializationFailure
from psycopg.rows import dict_row, namedtuple_row
from psycopg.types.json import set_json_loads
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from squid_mesh import (
    InvalidPayload,
    InvalidTrigger,
    KeyConflict,
    Mesh,
    Payload,
    SquidMeshError,
    Workflow,
    step,
)
from squid_mesh.runtime.starting import Request, to_start
from tests.clock import every, one
from tests.meshes import ended, oban_on, on_host, own_pool


class Order(Payload):
    number: int
    price: float = 0.1


async def echo(number: int) -> int:
    return number


class TakeOrder(Workflow[Order]):
    take = step(echo).takes(Order.number)


@pytest.fixture
async def mesh(dsn: str) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, [TakeOrder]) as mesh:
        yield mesh


@pytest.fixture
async def host(dsn: str) -> AsyncGenerator[AsyncConnection[Any]]:
    """The host's own connection, with a table of its own."""
    async with await AsyncConnection.connect(dsn) as connection:
        await connection.execute("create table orders (number integer primary key)")
        await connection.commit()
        yield connection


async def rows(dsn: str) -> tuple[Any, ...]:
    return await one(
        dsn,
        "select (select count(*) from orders), (select count(*) from squid_mesh.runs),"
        " (select count(*) from squid_mesh.steps), (select count(*) from oban_jobs)",
    )


async def test_a_run_begins_when_the_host_commits(
    mesh: Mesh, host: AsyncConnection[Any], dsn: str
) -> None:
    async with host.transaction():
        await host.execute("insert into orders values (7)")
        run = await mesh.start_run(TakeOrder, Order(number=7), conn=host)
        assert run.status == "pending"
        assert await rows(dsn) == (0, 0, 0, 0)
    details = await ended(mesh, run.id)
    assert details.output(TakeOrder.take) == 7
    assert (await rows(dsn))[0] == 1


async def test_a_rolled_back_run_never_was(
    mesh: Mesh, host: AsyncConnection[Any], dsn: str
) -> None:
    async with host.transaction(force_rollback=True):
        await host.execute("insert into orders values (7)")
        await mesh.start_run(TakeOrder, Order(number=7), key="k", conn=host)
    assert await rows(dsn) == (0, 0, 0, 0)
    assert (await mesh.start_run(TakeOrder, Order(number=7), key="k")).created


async def test_a_cursor_is_a_connection_too(mesh: Mesh, host: AsyncConnection[Any]) -> None:
    async with host.cursor() as cursor:
        run = await mesh.start_run(TakeOrder, Order(number=7), conn=cursor)
    await host.commit()
    assert (await ended(mesh, run.id)).status == "completed"


@pytest.mark.parametrize("conn", ["postgresql://nowhere", 7, object()], ids=repr)
async def test_anything_else_is_refused(mesh: Mesh, conn: object) -> None:
    with pytest.raises(TypeError, match="conn= takes a psycopg AsyncConnection"):
        await mesh.start_run(TakeOrder, Order(number=7), conn=conn)


@pytest.mark.parametrize("options", [{"row_factory": dict_row}, {"row_factory": namedtuple_row}])
@pytest.mark.parametrize("mode", [{"autocommit": True}, {"autocommit": False}])
async def test_how_a_host_sets_up_its_connection_does_not_matter(
    mesh: Mesh, dsn: str, options: dict[str, Any], mode: dict[str, Any]
) -> None:
    connecting = AsyncConnection.connect(dsn, **options, **mode)
    async with await connecting as host:
        first = await mesh.start_run(TakeOrder, Order(number=7), key="k", conn=host)
        again = await mesh.start_run(TakeOrder, Order(number=7), key="k", conn=host)
        with pytest.raises(KeyConflict):
            await mesh.start_run(TakeOrder, Order(number=8), key="k", conn=host)
        assert host.row_factory is options["row_factory"]
    assert (again.id, again.created) == (first.id, False)  # committed, it may have begun
    assert (await ended(mesh, first.id)).status == "completed"


def with_decimals(data: bytes | str) -> Any:
    """As a host that deals with money may read its JSON."""
    return json.loads(data, parse_float=Decimal)


@pytest.mark.parametrize("loads", [with_decimals, lambda data: data], ids=["decimals", "raw"])
async def test_how_a_host_reads_json_does_not_matter(mesh: Mesh, dsn: str, loads: Any) -> None:
    async with await AsyncConnection.connect(dsn) as host:
        set_json_loads(loads, host)
        first = await mesh.start_run(TakeOrder, Order(number=7), key="k", conn=host)
        again = await mesh.start_run(TakeOrder, Order(number=7), key="k", conn=host)
    assert (again.id, again.payload) == (first.id, first.payload)


@pytest.mark.parametrize(
    ("payload", "options", "error"),
    [
        ({"number": "7"}, {}, InvalidPayload),
        ({"number": 7}, {"trigger": "other"}, InvalidTrigger),
        ({"number": 7}, {"key": "taken"}, KeyConflict),
        ({"number": 7}, {"key": "a\0b"}, (SquidMeshError, ValueError)),
        ({"number": 7}, {"key": os.urandom(6000).hex()}, (SquidMeshError, ValueError)),
        ({"number": 7}, {"tags": {"a": "\0"}}, (SquidMeshError, ValueError)),
        ({"number": 7}, {"priority": 100_000}, (SquidMeshError, ValueError)),
    ],
    ids=["payload", "trigger", "key", "nul", "long", "tag", "priority"],
)
async def test_an_error_does_not_abort_the_host_s_transaction(
    mesh: Mesh,
    host: AsyncConnection[Any],
    dsn: str,
    payload: Mapping[str, Any],
    options: Mapping[str, Any],
    error: Any,
) -> None:
    await mesh.start_run(TakeOrder, Order(number=1), key="taken")
    async with host.transaction():
        await host.execute("insert into orders values (7)")
        with pytest.raises(error):
            await mesh.start_run(TakeOrder, payload, conn=host, **options)
        await host.execute("insert into orders values (8)")
    assert (await rows(dsn))[:2] == (2, 1)


async def test_a_key_that_is_being_taken_is_waited_for(mesh: Mesh, dsn: str) -> None:
    async with await AsyncConnection.connect(dsn) as one_host:
        first = await mesh.start_run(TakeOrder, Order(number=7), key="k", conn=one_host)
        async with asyncio.TaskGroup() as tasks:
            second = tasks.create_task(mesh.start_run(TakeOrder, Order(number=7), key="k"))
            waiting = "select 1 from pg_locks where not granted"
            while not await every(dsn, waiting):
                assert not second.done()
            await one_host.commit()
    assert (second.result().id, second.result().created) == (first.id, False)


async def test_a_host_s_open_transaction_does_not_hold_up_other_starts(
    mesh: Mesh, host: AsyncConnection[Any]
) -> None:
    async with asyncio.timeout(5), host.transaction():
        await mesh.start_run(TakeOrder, Order(number=1), key="mine", conn=host)
        run = await mesh.start_run(TakeOrder, Order(number=2))
        assert (await ended(mesh, run.id)).status == "completed"


async def test_the_key_of_an_open_transaction_holds_up_nobody_else(
    mesh: Mesh, host: AsyncConnection[Any]
) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks, host.transaction():
        await mesh.start_run(TakeOrder, Order(number=1), key="mine", conn=host)
        same = tasks.create_task(mesh.start_run(TakeOrder, Order(number=1), key="mine"))
        run = await mesh.start_run(TakeOrder, Order(number=2))
        assert (await ended(mesh, run.id)).status == "completed"
        assert not same.done()


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
async def test_a_key_that_a_stricter_transaction_cannot_see(
    mesh: Mesh, host: AsyncConnection[Any], level: IsolationLevel
) -> None:
    """It is told what to do, its own writes are kept, and when it comes again it has the run."""
    await host.set_isolation_level(level)
    await host.execute("select 1 from orders")
    run = await mesh.start_run(TakeOrder, Order(number=1), key="mine")
    await host.execute("insert into orders values (1)")
    with pytest.raises(SerializationFailure) as caught:
        await mesh.start_run(TakeOrder, Order(number=1), key="mine", conn=host)
    with pytest.raises(SerializationFailure):
        await mesh.start_runs(TakeOrder, [Order(number=1)], keys=["mine"], conn=host)
    assert "roll back and try again" in caught.value.__notes__[0]
    assert await (await host.execute("select number from orders")).fetchall() == [(1,)]
    await host.rollback()
    await ended(mesh, run.id)  # a run that is being written to would be a conflict again
    again = await mesh.start_run(TakeOrder, Order(number=1), key="mine", conn=host)
    assert (again.id, again.created) == (run.id, False)


async def test_a_key_whose_run_was_deleted_meanwhile(
    mesh: Mesh, host: AsyncConnection[Any]
) -> None:
    start = to_start(mesh._catalog.definition(TakeOrder), Request(payload={"number": 1}, key="x"))
    with pytest.raises(SerializationFailure, match="start it again"):
        await mesh._starter._holder(host, start)


async def test_a_session_of_sqlalchemy_is_a_connection_too(mesh: Mesh, dsn: str) -> None:
    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
    try:
        async with AsyncSession(engine) as session:
            await session.execute(text("create table mine (number integer)"))
            run = await mesh.start_run(TakeOrder, Order(number=7), conn=session)
            await session.rollback()
            assert await every(dsn, "select 1 from squid_mesh.runs") == []

            run = await mesh.start_run(TakeOrder, Order(number=8), conn=session)
            await session.execute(text("create table mine (number integer)"))
            await session.commit()
        assert (await ended(mesh, run.id)).output(TakeOrder.take) == 8

        async with engine.begin() as connection:
            run = await mesh.start_run(TakeOrder, Order(number=9), conn=connection)
        assert (await ended(mesh, run.id)).output(TakeOrder.take) == 9
    finally:
        await engine.dispose()


async def test_a_pool_with_a_row_factory_of_its_own_serves_a_mesh(dsn: str) -> None:
    options = {"row_factory": dict_row, "autocommit": True}
    async with own_pool(dsn) as obans, own_pool(dsn, kwargs=options) as hosts:
        oban = oban_on(obans)
        async with oban, Mesh(hosts, oban=oban, workflows=[TakeOrder]) as mesh:
            run = await mesh.start_run(TakeOrder, Order(number=7))
            details = await ended(mesh, run.id)
            page = await mesh.list_runs()
    assert details.output(TakeOrder.take) == 7
    assert [listed.id for listed in page.runs] == [run.id]


async def test_a_pool_that_reads_json_in_its_own_way_serves_a_mesh(dsn: str) -> None:
    async def configure(connection: AsyncConnection[Any]) -> None:
        set_json_loads(with_decimals, connection)

    async with on_host(dsn, [TakeOrder], pool={"configure": configure}) as mesh:
        run = await mesh.start_run(TakeOrder, Order(number=7))
        details = await ended(mesh, run.id)
    assert repr(details.payload) == "{'number': 7, 'price': 0.1}"
    assert details.output(TakeOrder.take) == 7
