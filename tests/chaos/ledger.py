"""What bodies did, in a table of the host's, on a connection that the mesh knows nothing of.

A body writes that it has begun, under its idempotency key, and goes on when that is durable. The
villain spares these connections, but not the server: what can't be written is written again, and
each body has a number of its own, so that it counts once however often it is written.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID, uuid4

import psycopg
from psycopg import AsyncConnection, Connection

from squid_mesh import StepContext

TABLES = """
create schema chaos;
-- Bodies that began.
create table chaos.bodies (
  body uuid primary key, key text not null, run uuid not null, step text not null,
  attempt integer not null, pid integer not null, at timestamptz not null
);
-- What bodies wrote in the transaction of their step.
create table chaos.effects (run uuid not null, step text not null, attempt integer not null);
-- What a host wrote in the transaction in which it started a run.
create table chaos.orders (key text primary key);
-- What the mesh has promised to whoever called it, and the schema's time after that.
create table chaos.promises (
  kind text not null, run uuid, detail text not null default '', at timestamptz
);
-- What befell whom, in real time. `boot` is null for what befalls all; `bodies` were under way.
create table chaos.faults (
  kind text not null, boot bigint, began timestamptz not null, ended timestamptz not null,
  bodies integer
);
"""

_BEGUN = """
insert into chaos.bodies (body, key, run, step, attempt, pid, at)
select * from unnest(%s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::int[], %s::int[],
                     %s::timestamptz[])
on conflict do nothing
"""
_EFFECT = "insert into chaos.effects (run, step, attempt) values (%s, %s, %s)"
_MOST = 200
_PATIENCE = 0.1
"""Seconds between two tries to reach a server that restarts."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body that began."""

    body: UUID
    key: str
    run: UUID
    step: str
    attempt: int
    pid: int
    at: datetime

    @classmethod
    def of(cls, at: StepContext) -> Self:
        """This one, now."""
        return cls(
            body=uuid4(),
            key=at.idempotency_key,
            run=at.run_id,
            step=at.step,
            attempt=at.attempt,
            pid=os.getpid(),
            at=datetime.now(UTC),
        )


class Ledger:
    """A resource for bodies. They share a connection, those that come at once a commit."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: AsyncConnection[Any] | None = None
        self._queue: asyncio.Queue[tuple[Body, asyncio.Future[None]]] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        """Begin to write."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="chaos-ledger")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()

    async def begin(self, at: StepContext) -> None:
        """Note that a body began."""
        written: asyncio.Future[None] = self._loop.create_future()
        self._queue.put_nowait((Body.of(at), written))
        await written

    def begin_in_thread(self, at: StepContext) -> None:
        """The same, from a thread."""
        asyncio.run_coroutine_threadsafe(self.begin(at), self._loop).result()

    async def _run(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty() and len(batch) < _MOST:
                batch.append(self._queue.get_nowait())
            await self._write([body for body, _ in batch])
            for _, written in batch:
                if not written.done():
                    written.set_result(None)

    async def _write(self, bodies: list[Body]) -> None:
        """Write, again until the server has taken it."""
        columns = [list(column) for column in zip(*map(astuple, bodies), strict=True)]
        while True:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await AsyncConnection.connect(self._dsn, autocommit=True)
                await self._connection.execute(_BEGUN, columns)
            except psycopg.OperationalError:
                await asyncio.sleep(_PATIENCE)
            else:
                return


async def effect(at: StepContext, connection: AsyncConnection[Any]) -> None:
    """Write in the transaction of a step."""
    await connection.execute(_EFFECT, (at.run_id, at.step, at.attempt))


def effect_in_thread(at: StepContext, connection: Connection[Any]) -> None:
    """The same, from a thread."""
    connection.execute(_EFFECT, (at.run_id, at.step, at.attempt))
