"""Puts the clock of a mesh forward, so that nobody waits for tomorrow's window.

For a demo, as for a test; no application does this. A mesh reads the time from its own schema. Oban
doesn't: the job of the window, which is due as late as the window, is brought nearer by as much.
"""

from datetime import datetime, timedelta

from psycopg.rows import scalar_row
from psycopg_pool import AsyncConnectionPool

_FORWARD = """
with clock as (
    update squid_mesh.clock set shift = shift + %(by)s
)
update oban_jobs set scheduled_at = scheduled_at - %(by)s where state = 'scheduled'
"""


async def put_forward(pool: AsyncConnectionPool, to: datetime) -> None:
    """Let the time be `to`: what is due by then is done within a second."""
    async with pool.connection() as conn, conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("select squid_mesh.now()")
        now: datetime | None = await cursor.fetchone()
    assert now is not None
    await let_pass(pool, to - now)


async def let_pass(pool: AsyncConnectionPool, by: timedelta) -> None:
    """Let the time be `by` later."""
    async with pool.connection() as conn:
        await conn.execute(_FORWARD, {"by": by})
