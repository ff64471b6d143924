"""Puts the clock of a mesh forward, so that nobody waits for tomorrow's window.

For a demo, as for a test; no application does this. A mesh reads the time from its own schema. Oban
doesn't: the job of the window, which is due as late as the window, is brought nearer by as much.
"""

from datetime import datetime

from psycopg_pool import AsyncConnectionPool

_FORWARD = """
with shifted as (
    select %(to)s - squid_mesh.now() as by
), clock as (
    update squid_mesh.clock set shift = shift + by from shifted
)
update oban_jobs set scheduled_at = scheduled_at - by from shifted where state = 'scheduled'
"""


async def put_forward(pool: AsyncConnectionPool, to: datetime) -> None:
    """Let the time be `to`: what is due by then is done within a second."""
    async with pool.connection() as conn:
        await conn.execute(_FORWARD, {"to": to})
