"""Moves a database's time on, so that a test waits for nothing.

`squid_mesh.now()` is Postgres' own time plus a shift, and every due time of ours is in it. Oban
knows no such clock: its scheduled jobs are moved towards the present by as much. Leases are real
time, which a test mustn't move: the living would look dead.
"""

from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

_LATER = "update squid_mesh.clock set shift = shift + %(by)s"
_NEARER = """
update oban_jobs set scheduled_at = scheduled_at - %(by)s where state in ('scheduled', 'retryable')
"""
# What Oban's stager does once a second, and what tells the producers.
_DUE = """
with due as (
  update oban_jobs set state = 'available'
  where state in ('scheduled', 'retryable') and scheduled_at <= timezone('UTC', now())
  returning queue
)
select pg_notify('public.oban_insert', json_build_object('queue', queue)::text)
from (select distinct queue from due) as queues
"""


async def advance(dsn: str, by: timedelta) -> None:
    """Let time pass: what is due by then runs at once."""
    async with await AsyncConnection.connect(dsn) as connection:
        await connection.execute(_LATER, {"by": by})
        await connection.execute(_NEARER, {"by": by})
        await connection.execute(_DUE)


async def wake_jobs(dsn: str) -> None:
    """Deliver every scheduled job now, though no time has passed: they come too early."""
    async with await AsyncConnection.connect(dsn) as connection:
        await connection.execute("update oban_jobs set scheduled_at = timezone('UTC', now())")
        await connection.execute(_DUE)


async def now(dsn: str) -> datetime:
    """The schema's time."""
    (moment,) = await one(dsn, "select squid_mesh.now()")
    assert isinstance(moment, datetime)
    return moment


async def one(dsn: str, query: str, *parameters: object) -> tuple[Any, ...]:
    """The only row of a query."""
    rows = await every(dsn, query, *parameters)
    assert len(rows) == 1, rows
    return rows[0]


async def every(dsn: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """All rows of a query, as somebody else than the mesh sees them."""
    async with await AsyncConnection.connect(dsn) as connection:
        cursor = await connection.execute(query.encode(), parameters)
        return [] if cursor.description is None else await cursor.fetchall()
