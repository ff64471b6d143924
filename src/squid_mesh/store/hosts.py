"""A host's own connection or session, as the psycopg connection underneath."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString, TypeGuard

import orjson
from psycopg import AsyncConnection, AsyncCursor, Connection
from psycopg.pq import TransactionStatus
from psycopg.rows import AsyncRowFactory, tuple_row
from psycopg.types.json import set_json_loads

from squid_mesh.store import columns


def cursor_on[Row](
    connection: AsyncConnection[Any], row_factory: AsyncRowFactory[Row]
) -> AsyncCursor[Row]:
    """A cursor that reads rows and JSON as we do, however the host's connection does."""
    cursor = connection.cursor(row_factory=row_factory)
    set_json_loads(orjson.loads, cursor)
    return cursor


async def rows_from(
    connection: AsyncConnection[Any], statement: LiteralString, parameters: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Execute one of our statements in the host's transaction, prepared as the host's are."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        columns.register(cursor)
        await cursor.execute(statement, parameters)
        return await cursor.fetchall()


def sync_rows_from(
    connection: Connection[Any], statement: LiteralString, parameters: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """The same on a sync connection."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        columns.register(cursor)
        cursor.execute(statement, parameters)
        return cursor.fetchall()


async def begin(connection: AsyncConnection[Any]) -> None:
    """Begin the host's transaction, if it hasn't and psycopg would with the next statement.

    Otherwise a `transaction()` of ours would be the outermost one, and commit it.
    """
    if connection.info.transaction_status is TransactionStatus.IDLE and not connection.autocommit:
        await connection.execute("select")


async def connection_of(host: Any) -> AsyncConnection[Any]:
    """The psycopg connection behind what a host passes as `conn=`.

    Takes a psycopg `AsyncConnection` or `AsyncCursor`, or a SQLAlchemy `AsyncSession` or
    `AsyncConnection` on psycopg. Raises `TypeError` for anything else.
    """
    driver = host if _is_psycopg(host) else await _underneath(host)
    if _is_psycopg(driver):
        return driver
    raise TypeError(
        "conn= takes a psycopg AsyncConnection, or a SQLAlchemy AsyncSession or AsyncConnection "
        f"on psycopg, not {type(host).__name__}"
    )


def _is_psycopg(value: object) -> TypeGuard[AsyncConnection[Any]]:
    return isinstance(value, AsyncConnection)


async def _underneath(host: Any) -> Any:
    """What a session, a connection of SQLAlchemy's or a cursor stands on."""
    if hasattr(host, "get_bind"):  # a session
        host = await host.connection()
    if hasattr(host, "get_raw_connection"):
        return (await host.get_raw_connection()).driver_connection
    return getattr(host, "connection", None)
