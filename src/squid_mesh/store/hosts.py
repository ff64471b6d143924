"""A host's own connection or session, as the psycopg connection underneath."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection, AsyncCursor


async def connection_of(host: Any) -> AsyncConnection[Any]:
    """The psycopg connection behind what a host passes as `conn=`.

    Takes a psycopg `AsyncConnection` or `AsyncCursor`, or a SQLAlchemy `AsyncSession` or
    `AsyncConnection` on psycopg. Raises `TypeError` for anything else.
    """
    match host:
        case AsyncConnection():
            return host
        case AsyncCursor():
            return host.connection
        case _:
            driver = await _sqlalchemy_driver(host)
    if isinstance(driver, AsyncConnection):
        return driver
    raise TypeError(
        f"conn= takes a psycopg AsyncConnection, or a SQLAlchemy AsyncSession or AsyncConnection on "
        f"psycopg, not {type(host).__name__}"
    )


async def _sqlalchemy_driver(host: Any) -> Any:
    if hasattr(host, "get_bind") and hasattr(host, "connection"):  # a session
        host = await host.connection()
    if not hasattr(host, "get_raw_connection"):
        return None
    raw = await host.get_raw_connection()
    return raw.driver_connection
