"""The application's own tables about refunds: what was asked for, the till, and the ledger."""

from typing import Any, Literal, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import scalar_row
from psycopg_pool import AsyncConnectionPool

type State = Literal["requested", "paid", "refused"]

_TABLES = """
create table if not exists refunds (
    id bigint generated always as identity primary key,
    amount integer not null,
    state text not null default 'requested'
);
create table if not exists till (balance integer not null check (balance >= 0));
create table if not exists ledger (
    id bigint generated always as identity primary key,
    refund bigint not null references refunds,
    amount integer not null,
    idempotency_key text not null unique
);
"""


class TillIsShort(Exception):
    """There is less in the till than is to be paid."""


async def install(pool: AsyncConnectionPool) -> None:
    """Create the tables where they are missing."""
    async with pool.connection() as conn:
        await conn.execute(_TABLES)


async def fill_till(pool: AsyncConnectionPool, balance: int) -> None:
    """Let so much be in the till."""
    async with pool.connection() as conn:
        await conn.execute("delete from till")
        await conn.execute("insert into till values (%s)", (balance,))


async def request(conn: AsyncConnection[Any], amount: int) -> int:
    """Write down that a refund was asked for; its id. Commits with the caller's transaction."""
    return await _number(conn, "insert into refunds (amount) values (%s) returning id", amount)


async def enter(conn: AsyncConnection[Any], refund_id: int, amount: int, key: str) -> int:
    """Enter a payment into the ledger; the id of the entry."""
    insert = "insert into ledger (refund, amount, idempotency_key) values (%s, %s, %s) returning id"
    return await _number(conn, insert, refund_id, amount, key)


async def take_from_till(conn: AsyncConnection[Any], amount: int) -> None:
    """Take money out of the till. Raises `TillIsShort`."""
    take = "update till set balance = balance - %(amount)s where balance >= %(amount)s"
    cursor = await conn.execute(take, {"amount": amount})
    if not cursor.rowcount:
        raise TillIsShort(f"there is less than {amount} in the till")


async def settle(conn: AsyncConnection[Any], refund_id: int, state: State) -> None:
    """Write down what became of a refund."""
    settle = "update refunds set state = %s where id = %s and state = 'requested'"
    await conn.execute(settle, (state, refund_id))


async def state_of(pool: AsyncConnectionPool, refund_id: int) -> str | None:
    """What became of a refund; None if nobody has asked for it."""
    async with pool.connection() as conn:
        cursor = await conn.execute("select state from refunds where id = %s", (refund_id,))
        row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def entries_of(pool: AsyncConnectionPool, refund_id: int) -> int:
    """How often a refund stands in the ledger."""
    async with pool.connection() as conn:
        return await _number(conn, "select count(*) from ledger where refund = %s", refund_id)


async def balance(pool: AsyncConnectionPool) -> int:
    """What is in the till."""
    async with pool.connection() as conn:
        return await _number(conn, "select balance from till")


async def _number(conn: AsyncConnection[Any], query: LiteralString, *parameters: object) -> int:
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, parameters)
        number: int | None = await cursor.fetchone()
    assert number is not None, "each of these queries answers with a number"
    return number
