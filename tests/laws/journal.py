"""Where bodies tell that they began, and wait until a test lets them go: tables, for all processes.

A body writes down what it sees of its claim from a connection of its own: whether it is durable.
"""

import os
import time
from collections import Counter
from typing import Any, Self
from uuid import UUID

import psycopg
from psycopg import AsyncConnection

from squid_mesh import StepContext
from tests.clock import every
from tests.meshes import eventually

_TABLES = """
create table bodies (
  number bigint primary key generated always as identity,
  run uuid not null, step text not null, attempt integer not null,
  pid integer not null, is_claimed boolean not null
);
create table gates (name text primary key);
create table passed (run uuid not null, step text not null, pid integer not null);
"""
_BEGUN = """
insert into bodies (run, step, attempt, pid, is_claimed)
select %(run)s, %(step)s, %(attempt)s, %(pid)s, exists (
  select from squid_mesh.steps s join squid_mesh.workers w on w.boot = s.claim
  where s.run_id = %(run)s and s.step = %(step)s
    and s.status = 'running' and s.attempt = %(attempt)s and w.pid = %(pid)s)
"""

type Body = tuple[UUID, str, int]
"""A body that began: its run, its step, its attempt."""


async def install(dsn: str) -> None:
    """Make the tables."""
    await every(dsn, _TABLES)


class Journal:
    """A resource for bodies: notes and gates."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._connection: AsyncConnection[Any] | None = None

    async def __aenter__(self) -> Self:
        """Connect, apart from everything that the mesh does."""
        self._connection = await AsyncConnection.connect(self.dsn, autocommit=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.close()

    @property
    def _open(self) -> AsyncConnection[Any]:
        assert self._connection is not None, "a journal is opened before it is used"
        return self._connection

    async def begin(self, at: StepContext) -> None:
        """Note that a body began."""
        facts = {"run": at.run_id, "step": at.step, "attempt": at.attempt, "pid": os.getpid()}
        await self._open.execute(_BEGUN, facts)

    async def hold(self, at: StepContext) -> None:
        """Note that a body began, and keep it until the gate of its run is open."""
        await self.begin(at)

        async def is_open() -> bool:
            cursor = await self._open.execute(
                "select 1 from gates where name in (%s, 'all')", (str(at.run_id),)
            )
            return await cursor.fetchone() is not None

        await eventually(is_open)
        passed = at.run_id, at.step, os.getpid()
        await self._open.execute("insert into passed values (%s, %s, %s)", passed)

    def block(self, at: StepContext) -> None:
        """Keep the whole event loop until the gate of its run is open."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            gate = "select 1 from gates where name in (%s, 'all')"
            while connection.execute(gate, (str(at.run_id),)).fetchone() is None:
                time.sleep(0.01)
            passed = at.run_id, at.step, os.getpid()
            connection.execute("insert into passed values (%s, %s, %s)", passed)

    async def has_passed(self, pid: int) -> None:
        """Wait until a body of a process has passed its gate: its result is on its way."""

        async def has() -> bool:
            cursor = await self._open.execute("select 1 from passed where pid = %s", (pid,))
            return await cursor.fetchone() is not None

        await eventually(has)

    async def let_go(self, gate: UUID | str = "all") -> None:
        """Open the gate of a run, or of all."""
        await self._open.execute("insert into gates values (%s)", (str(gate),))

    async def bodies(self) -> Counter[Body]:
        """How often each body began, in all processes."""
        cursor = await self._open.execute("select run, step, attempt from bodies order by number")
        return Counter((run, step, attempt) for run, step, attempt in await cursor.fetchall())

    async def steps_of(self, run_id: UUID) -> list[str]:
        """The bodies of one run, in the order of their beginning."""
        query = "select step from bodies where run = %s order by number"
        cursor = await self._open.execute(query, (run_id,))
        return [step for (step,) in await cursor.fetchall()]

    async def unclaimed(self) -> list[Any]:
        """Bodies that began without a durable claim of their process."""
        cursor = await self._open.execute(
            "select run, step, attempt from bodies where not is_claimed"
        )
        return await cursor.fetchall()

    async def processes(self) -> set[int]:
        """Which processes bodies ran in."""
        cursor = await self._open.execute("select distinct pid from bodies")
        return {pid for (pid,) in await cursor.fetchall()}

    async def has(self, count: int, step: str = "%") -> None:
        """Wait until so many bodies have begun."""

        async def have() -> bool:
            query = "select count(*) >= %s from bodies where step like %s"
            row = await (await self._open.execute(query, (count, step))).fetchone()
            return row is not None and bool(row[0])

        await eventually(have)
