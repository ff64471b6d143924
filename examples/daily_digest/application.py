"""The host application: its pool, its Oban, its HTTP client, its table, and a mesh on all of them.

`assembled` is what its processes have in common: the demo, which starts runs, and each worker.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from oban import Oban, schema
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from squid_mesh import Mesh
from squid_mesh.tools.http import Http

from .content import FailedDeliveries
from .workflow import PostDailyDigest

HEARTBEAT = timedelta(seconds=0.5)
LEASE = timedelta(seconds=2)
"""Shorter than a mesh has them unless told: whoever watches a demo shan't wait for ten seconds."""

LOOPBACK = ["127.0.0.1"]
"""Where the demo's outside world is. Of private addresses, only this one may be reached."""

WORKING = {"squid_mesh": 10}
"""What a process that works serves; one that only starts runs serves no queue."""


@dataclass(frozen=True, slots=True)
class Application:
    """The parts of the application in one process, not started: `async with app.oban, app.mesh`."""

    pool: AsyncConnectionPool
    oban: Oban
    mesh: Mesh
    deliveries: FailedDeliveries

    async def install(self) -> None:
        """Create every table: Oban's, the mesh's and the host's. A deployment does it once."""
        await schema.install(self.pool)
        await self.mesh.migrate()
        await self.deliveries.install()


@asynccontextmanager
async def assembled(
    dsn: str, *, queues: Mapping[str, int] = WORKING
) -> AsyncGenerator[Application]:
    """Yield the application with an open pool; what it starts, it has to stop within the block."""
    async with (
        AsyncConnectionPool[AsyncConnection](dsn, min_size=1, open=False) as pool,
        Http(max_bytes=5 * 2**20, redirects=5, internal=LOOPBACK) as http,
    ):
        deliveries = FailedDeliveries(pool)
        oban = Oban(pool=pool, queues=dict(queues), name="daily_digest")
        mesh = Mesh(
            pool,
            oban=oban,
            workflows=[PostDailyDigest],
            resources=[http, deliveries],
            heartbeat=HEARTBEAT,
            lease=LEASE,
        )
        yield Application(pool, oban, mesh, deliveries)
