"""A host's own connection or session, as the psycopg connection underneath."""

from __future__ import annotations

from typing import Any, TypeGuard

from psycopg import AsyncConnection


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
