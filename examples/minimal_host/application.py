"""The host application: its pool, its Oban, its tables, its client of the gateway, its workflows.

`assembled` is what all of its processes have in common. One that works on runs serves a queue; one
that only starts runs and decides about them serves none.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from . import refunds
from .gateway import Gateway
from .workflows_api import QUEUE, WorkflowsApi

WORKING = 10
"""How many steps a working process runs at once."""

STAGING = timedelta(milliseconds=100)
"""How often Oban looks for jobs that have become due. Unless told, it does once a second."""


@dataclass(frozen=True, slots=True)
class Application:
    """The application in one process, up and running."""

    pool: AsyncConnectionPool
    workflows: WorkflowsApi

    async def request_refund(self, amount: int) -> tuple[int, UUID]:
        """Write a refund down and start its run in one transaction; the ids of both."""
        async with self.pool.connection() as conn, conn.transaction():
            refund_id = await refunds.request(conn, amount)
            run = await self.workflows.start_refund(conn, refund_id, amount)
        return refund_id, run.id


async def install(dsn: str) -> None:
    """Create every table where it is missing. A deployment does it once."""
    async with _parts(dsn, "http://127.0.0.1", slots=0) as (pool, _, workflows):
        await workflows.install()
        await refunds.install(pool)


@asynccontextmanager
async def running(dsn: str, gateway: str, *, slots: int = WORKING) -> AsyncGenerator[Application]:
    """Run the application in this process; with no `slots` it works on nothing itself."""
    async with _parts(dsn, gateway, slots=slots) as (pool, oban, workflows), oban, workflows:
        yield Application(pool, workflows)


@asynccontextmanager
async def _parts(
    dsn: str, gateway: str, *, slots: int
) -> AsyncGenerator[tuple[AsyncConnectionPool, Oban, WorkflowsApi]]:
    async with (
        AsyncConnectionPool[AsyncConnection](dsn, min_size=1, max_size=10, open=False) as pool,
        httpx.AsyncClient(timeout=30) as http,
    ):
        oban = Oban(
            pool=pool,
            name=f"minimal_host_{uuid4().hex}",
            queues={QUEUE: slots} if slots else {},
            stager={"interval": STAGING.total_seconds()},
        )
        yield pool, oban, WorkflowsApi(pool, oban, resources=[Gateway(gateway, http)])
