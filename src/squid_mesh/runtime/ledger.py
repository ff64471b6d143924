"""What drivers write and read, each through its own group committer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection

from squid_mesh.store.columns import Texts, Uuids
from squid_mesh.store.committer import Busy, Committer, Lost
from squid_mesh.store.producers import Producer, find_producers
from squid_mesh.store.records import (
    Claim,
    Claiming,
    Interrupted,
    Loaded,
    Outcome,
    Progress,
    Released,
    Start,
    Take,
    Taken,
)
from squid_mesh.store.trouble import Trouble, passes
from squid_mesh.store.writes import SOON, Writer
from squid_mesh.telemetry import Telemetry

type Connect = Callable[[], Awaitable[AsyncConnection[Any]]]

_MOST_IN_DOUBT = 1.0
"""Seconds that a transaction without a client may take to commit, or to be found without one."""

_READING, _DECIDING = "reading", "deciding"

_AGAIN_SECONDS = 0.1
"""Between two tries of what a run can't go on without."""


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

    def __init__(
        self,
        writer: Writer,
        *,
        starter: Connect,
        committer: Connect,
        slow: Connect,
        side: SideConnection,
        silence: float,
        telemetry: Telemetry,
        trouble: Trouble | None = None,
    ) -> None:
        self._trouble = trouble or Trouble()
        self._writer = writer
        self._silence = silence
        self._stopped = False
        self._side = side
        self._slow = SideConnection(slow)

        def told(kind: str) -> dict[str, Any]:
            return {"name": kind, "heard": telemetry.flushes(kind), "trouble": self._trouble}

        self._loads: Committer[UUID, Loaded] = Committer(committer, writer.load, **told("loads"))
        self._starts: Committer[Start, datetime | None] = Committer(
            starter,
            writer.start,
            target=lambda start: start.key or start.run_id,
            confirm=writer.confirm_start,
            **told("starts"),
        )
        self._takes: Committer[Take, Taken | None] = Committer(
            committer, writer.take, drops=True, **told("takes")
        )
        self._claims: Committer[Claim, Claiming] = Committer(
            committer, writer.claim, drops=True, **told("claims")
        )
        self._progress: Committer[Progress, Outcome] = Committer(
            committer,
            writer.advance,
            target=lambda record: (record.run_id, record.step),
            confirm=writer.confirm_progress,
            **told("progress"),
        )

    @property
    def boot(self) -> int:
        """The boot that claims are made for."""
        return self._writer.boot

    @property
    def _committers(self) -> tuple[Committer[Any, Any], ...]:
        return (self._starts, self._claims, self._takes, self._progress, self._loads)

    async def start(self) -> None:
        """Connect the committers. When one can't, the others have to be stopped."""
        starting = (committer.start() for committer in self._committers)
        for result in await asyncio.gather(*starting, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def stop(self) -> None:
        """End the committers; whoever still waits is told that the outcome is unknown."""
        self._stopped = True
        await asyncio.gather(*(committer.stop() for committer in self._committers))
        await self._slow.close()

    async def start_run(self, start: Start) -> datetime | None:
        """When the run was inserted; None when its key is taken."""
        return await self._starts.submit(start)

    async def claim(self, run_id: UUID, step: str) -> Claiming:
        """Claim a step for its job."""
        return await self._claims.submit(Claim(run_id, step))

    async def take(self, queue: str) -> Taken | None:
        """Claim the step whose job is next in a queue, and is gone with it. Raises `Lost`."""
        return await self._takes.submit(Take(queue))

    async def advance(self, progress: Progress) -> Outcome:
        """Write progress. Raises `Refused` or `Lost`."""
        return await self._progress.submit(progress)

    async def fail(self, progress: Progress) -> Outcome:
        """Fail a run that may have other steps under way."""
        return await self._fail(progress, lambda conn: self._writer.fail(conn, progress))

    async def load(self, run_id: UUID) -> Loaded:
        """All outputs and errors that a run has stored."""
        return await self._loads.submit(run_id)

    async def stage(self, jobs: list[int]) -> None:
        """Make jobs available whose time has come. Raises `Lost`."""
        await self._side.run(lambda conn: self._writer.stage(conn, jobs))

    async def give_back(self, job: int) -> None:
        """Make a job that was fetched available to others. Raises `Lost`."""
        await self._side.run(lambda conn: self._writer.give_back(conn, job))

    async def is_declared(self, definition: str) -> bool:
        """Whether a living process declares this definition. Raises `Lost`."""
        parameters = {"definition": definition, "silence": self._silence}
        rows = await self.outlast(lambda: self._read("find_declaring_worker", parameters))
        return bool(rows[0][0])

    async def outlast[T](self, read: Callable[[], Awaitable[T]]) -> T:
        """Read what a claimed step needs, again until the database has an answer.

        To give up would waste its attempt. Raises `Lost` when the mesh has stopped.
        """
        while not self._stopped:
            try:
                answer = await read()
            except (Lost, psycopg.Error) as error:
                if not isinstance(error, Lost) and not passes(error):
                    raise
                self._trouble.met(_READING, error)
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                self._trouble.over(_READING)
                return answer
        raise Lost("the mesh has stopped")

    async def find_producers(self, queues: Collection[str]) -> list[Producer]:
        """Every running Oban that serves one of these queues."""
        statements = self._writer.statements
        return await self._side.run(lambda conn: find_producers(conn, statements, queues))

    async def ask_transaction(self, name: str) -> str | None:
        """What became of a transaction: "committed" or "aborted"; None when nobody knows any more.

        Asked until the database has an answer; a session that nobody is at the other end of is
        ended after a while. Raises `Lost` when the mesh has stopped.
        """
        began = time.monotonic()
        while not self._stopped:
            try:
                ((status,),) = await self._read("find_transaction", {"transaction": name})
                if status != "in progress":
                    return None if status is None else str(status)
                if time.monotonic() - began > _MOST_IN_DOUBT:
                    await self._read("end_transaction", {"transaction": name})
            except (Lost, psycopg.OperationalError):
                pass
            await asyncio.sleep(0.05)
        raise Lost("the mesh has stopped")

    # recovery

    async def find_interrupted(
        self, driven: list[tuple[UUID, str | None]], *, blocked: float, patience: float = 0.0
    ) -> list[Interrupted]:
        """Steps whose claim nobody answers for; `driven` are those that this boot holds.

        A run without a step there stands for all of its steps. Other boots may be silent for
        `patience` seconds longer than usual.
        """
        rows = await self._read(
            "find_interrupted",
            {
                "silence": self._silence + patience,
                "blocked": blocked + patience,
                "boot": self._writer.boot,
                "run": Uuids([run_id for run_id, _ in driven]),
                "step": Texts([step for _, step in driven]),
            },
        )
        return [Interrupted(*row) for row in rows]

    async def retry_interrupted(self, found: list[Interrupted]) -> list[Released]:
        """Make interrupted steps ready again, those whose run goes on and isn't held."""
        return await self._side.run(lambda conn: self._writer.retry_interrupted(conn, found))

    async def end_interrupted(self, found: Interrupted, progress: Progress) -> Outcome | Busy:
        """Write progress for the boot that held an interrupted step."""

        async def write(connection: AsyncConnection[Any]) -> Outcome | Busy:
            (outcome,) = await self._writer.advance_for(
                connection, [progress], claim=found.claim, ended_as="interrupted"
            )
            return outcome

        return await self._side.run(write)

    async def fail_interrupted(self, found: Interrupted, progress: Progress) -> Outcome:
        """Fail a run, with other steps under way, for the boot that held an interrupted step."""
        return await self._fail(
            progress,
            lambda conn: self._writer.fail(conn, progress, claim=found.claim, status="interrupted"),
        )

    async def requeue_overdue(self, overdue: float) -> int:
        """Give a new job to steps that are due and have none; how many there were."""
        return await self._side.run(
            lambda conn: self._writer.requeue_overdue(conn, overdue=overdue, silence=self._silence)
        )

    async def find_oldest_ready(self) -> float:
        """For how many seconds the step that has been due for longest has been so; 0 for none."""
        ((late, _),) = await self._read("find_oldest_due", {})
        return max(late or 0.0, 0.0)

    async def find_parked(self) -> list[tuple[str, str]]:
        """Which steps of which definitions wait for code."""
        return [(definition, step) for definition, step in await self._read("find_parked", {})]

    async def release_parked(self, steps: list[tuple[str, str]]) -> int:
        """Make parked steps ready; how many there were."""
        return await self._side.run(lambda conn: self._writer.release_parked(conn, steps))

    async def _fail(
        self, progress: Progress, write: Callable[[AsyncConnection[Any]], Awaitable[Outcome]]
    ) -> Outcome:
        """Fail a run; a lost answer is asked again, as a committer does (law 14)."""

        async def write_again(connection: AsyncConnection[Any]) -> Outcome:
            outcome = await write(connection)
            return await self._writer.confirm_progress(connection, progress, outcome)

        return await self._patiently(write, write_again)

    async def decide[T](self, decide: Callable[[AsyncConnection[Any]], Awaitable[T]]) -> T:
        """Make a decision that may be made again: a second time it finds nothing to decide."""

        async def in_transaction(connection: AsyncConnection[Any]) -> T:
            async with connection.transaction():
                await connection.execute(SOON)
                return await decide(connection)

        return await self._patiently(in_transaction, in_transaction)

    async def _patiently[T](
        self,
        write: Callable[[AsyncConnection[Any]], Awaitable[T]],
        write_again: Callable[[AsyncConnection[Any]], Awaitable[T]],
    ) -> T:
        """Write what needs a run's lock, without waiting for a host with the connection in hand."""
        doubtful = False
        while not self._stopped:
            try:
                written = await self._slow.run(write_again if doubtful else write)
            except psycopg.errors.LockNotAvailable:
                pass
            except (Lost, psycopg.Error) as error:
                if not isinstance(error, Lost) and not passes(error):
                    raise
                self._trouble.met(_DECIDING, error)
                doubtful = True
            else:
                self._trouble.over(_DECIDING)
                return written
            await asyncio.sleep(_AGAIN_SECONDS)
        raise Lost("the mesh has stopped")

    async def _read(self, statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        async def read(connection: AsyncConnection[Any]) -> list[tuple[Any, ...]]:
            cursor = await connection.execute(self._writer.statements[statement], parameters)
            return await cursor.fetchall()

        return await self._side.run(read)
