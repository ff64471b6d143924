"""A host's own connection or session, as the psycopg connection underneath."""

from __future__ import annotations

from typing import Any, TypeGuard

import orjson
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import AsyncRowFactory
from psycopg.types.json import set_json_loads


def cursor_on[Row](
    connection: AsyncConnection[Any], row_factory: AsyncRowFactory[Row]
) -> AsyncCursor[Row]:
    """A cursor that reads rows and JSON as we do, however the host's connection does."""
    cursor = connection.cursor(row_factory=row_factory)
    set_json_loads(orjson.loads, cursor)
    return cursor


async def connection_of(host: Any) -> AsyncConnection[Any]:
    """The psycopg connection behind what a host passes as `conn=`.

    Takes a psycopg `AsyncConnection` or `AsyncCursor`, or a SQLAlchemy `AsyncSession` or
    `AsyncConnection` on psycopg. Raises `TypeError` for anything else.
    """
    cursor_of = getattr(host, "connection", None)
    for driver in (host, cursor_of, await _sqlalchemy_driver(host)):
        if _is_psycopg(driver):
            return driver
    raise TypeError(
        "conn= takes a psycopg AsyncConnection, or a SQLAlchemy AsyncSession or AsyncConnection "
        f"on psycopg, not {type(host).__name__}"
    )


def _is_psycopg(value: object) -> TypeGuard[AsyncConnection[Any]]:
    return isinstance(value, AsyncConnection)


async def _sqlalchemy_driver(host: Any) -> Any:
    if hasattr(host, "get_bind") and hasattr(host, "connection"):  # a session
        host = await host.connection()
    if not hasattr(host, "get_raw_connection"):
        return None
    raw = await host.get_raw_connection()
    return raw.driver_connection
