"""What drivers write and read, each through its own group committer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection

from squid_mesh.engine.states import StepStatus
from squid_mesh.store.committer import Committer, Lost
from squid_mesh.store.records import Claim, Claiming, Outcome, Progress, Start
from squid_mesh.store.writes import Interrupted, Writer

type Connect = Callable[[], Awaitable[AsyncConnection[Any]]]


class SideConnection:
    """A connection for what is off the hot path: one caller at a time, remade when lost."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._lock = asyncio.Lock()
        self._connection: AsyncConnection[Any] | None = None

    async def run[T](self, use: Callable[[AsyncConnection[Any]], Awaitable[T]]) -> T:
        """Use the connection. Raises `Lost` when it breaks."""
        async with self._lock:
            if self._connection is None or self._connection.closed:
                self._connection = await self._connect()
            try:
                return await use(self._connection)
            except psycopg.OperationalError as error:
                if self._connection.closed:
                    raise Lost(str(error)) from error
                raise

    async def close(self) -> None:
        """Close it."""
        async with self._lock:
            if self._connection is not None:
                await self._connection.close()


class Ledger:
    """The durable side of starting and driving."""

    def __init__(self, writer: Writer, committer: Connect, side: SideConnection) -> None:
        self._writer = writer
        self._side = side
        self._starts: Committer[Start, datetime | None] = Committer(
            committer,
            writer.start,
            target=lambda start: start.key or start.run_id,
            confirm=writer.confirm_start,
            size=100,
        )
        self._claims: Committer[Claim, Claiming] = Committer(
            committer, writer.claim, target=lambda claim: (claim.run_id, claim.step)
        )
        self._progress: Committer[Progress, Outcome] = Committer(
            committer,
            writer.advance,
            target=lambda record: (record.run_id, record.step),
            confirm=writer.confirm_progress,
        )

    async def start(self) -> None:
        """Connect the committers."""
        await asyncio.gather(self._starts.start(), self._claims.start(), self._progress.start())

    async def stop(self) -> None:
        """End the committers; whoever still waits is told that the outcome is unknown."""
        await asyncio.gather(self._starts.stop(), self._claims.stop(), self._progress.stop())

    async def start_run(self, start: Start) -> datetime | None:
        """When the run was inserted; None when its key is taken."""
        return await self._starts.submit(start)

    async def claim(self, run_id: UUID, step: str) -> Claiming:
        """Claim a step for its job."""
        return await self._claims.submit(Claim(run_id, step))

    async def advance(self, progress: Progress) -> Outcome:
        """Write progress. Raises `Refused` or `Lost`."""
        return await self._progress.submit(progress)

    async def fail(self, progress: Progress) -> Outcome:
        """Fail a run that may have other steps under way."""
        return await self._side.run(lambda connection: self._writer.fail(connection, progress))

    async def load_outputs(self, run_id: UUID) -> tuple[dict[str, Any], dict[str, Any]]:
        """All outputs and errors that a run has stored."""
        statement = self._writer.statements["load_outputs"]

        async def load(connection: AsyncConnection[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
            cursor = await connection.execute(statement, {"run": run_id})
            row = await cursor.fetchone()
            assert row is not None
            return row[0] or {}, row[1] or {}

        return await self._side.run(load)

    async def find_interrupted(self, *, silence: float, blocked: float) -> list[Interrupted]:
        """Steps whose claim no living process answers for, and old ones of this very boot."""
        parameters = {"silence": silence, "blocked": blocked, "boot": self._writer.boot}
        statement = self._writer.statements["find_interrupted"]

        async def find(connection: AsyncConnection[Any]) -> list[Interrupted]:
            cursor = await connection.execute(statement, parameters)
            return [Interrupted(*row) for row in await cursor.fetchall()]

        return await self._side.run(find)

    async def retry_interrupted(self, found: list[Interrupted]) -> int:
        """Make interrupted steps ready again; how many were."""
        return await self._side.run(lambda conn: self._writer.retry_interrupted(conn, found))

    async def fail_interrupted(self, found: Interrupted, error: bytes) -> Outcome:
        """Fail the run of a step that mustn't be tried again."""
        progress = Progress(
            run_id=found.run_id,
            step=found.step,
            attempt=found.attempt,
            status=StepStatus.FAILED,
            error=error,
            fails=True,
        )
        return await self._side.run(
            lambda conn: self._writer.fail(conn, progress, claim=found.claim, status="interrupted")
        )
