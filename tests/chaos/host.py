"""The application beside the workers: it starts runs, and remembers what it was promised.

It drives nothing. A call that met trouble with the database is made again where a key makes that
safe; what was promised by a call that returned goes into the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass, field
from datetime import datetime
from uuid import UUID

import psycopg
from psycopg import AsyncConnection

from squid_mesh import Mesh
from tests.chaos.ledger import Ledger
from tests.chaos.worker import Pace
from tests.clock import one

TROUBLE = (psycopg.OperationalError, psycopg.InterfaceError)
"""What a caller meets when the database is ill-treated."""

AGAIN = 0.2
"""Seconds until a call that met it is made again."""

_KEEP = "insert into chaos.promises (kind, run, detail, at) values (%s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Promise:
    """What a call has returned: a row of the ledger. `at` is the schema's time after it."""

    kind: str
    run: UUID
    detail: str = ""
    at: datetime | None = None


@dataclass
class Host:
    """A mesh without queues, and the promises that it made."""

    dsn: str
    mesh: Mesh
    promises: list[Promise] = field(default_factory=list)

    def promised(self, kind: str, run: UUID, detail: str = "", at: datetime | None = None) -> None:
        """Remember one."""
        self.promises.append(Promise(kind, run, detail, at))

    async def now(self) -> datetime | None:
        """The schema's time, when the server says it."""
        try:
            (moment,) = await one(self.dsn, "select squid_mesh.now()")
        except TROUBLE:
            return None
        assert isinstance(moment, datetime)
        return moment

    async def write_down(self) -> None:
        """Put the promises into the ledger."""
        async with await AsyncConnection.connect(self.dsn) as connection:
            await connection.cursor().executemany(_KEEP, [astuple(p) for p in self.promises])


async def insistently[T](call: Callable[[], Awaitable[T]]) -> T:
    """Call until the database isn't the matter."""
    while True:
        try:
            return await call()
        except TROUBLE:
            await asyncio.sleep(AGAIN)


@asynccontextmanager
async def hosting(dsn: str, ledger_dsn: str, pace: Pace) -> AsyncGenerator[Host]:
    """An application for the block."""
    async with Ledger(ledger_dsn) as ledger, pace.mesh(dsn, ledger, {}) as mesh:
        yield Host(dsn, mesh)
