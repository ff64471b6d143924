"""How an installation is: its schema, its processes, its queues, and what is wrong with them.

Reads, and never writes; works on a database where nothing is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from squid_mesh.store import migrations
from squid_mesh.store.hosts import cursor_on
from squid_mesh.store.statements import Statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """After how many seconds something is wrong: a silent process is dead, a loop that doesn't
    answer is blocked, a step that nobody takes is late.
    """

    lease: float = 10.0
    blocked: float = 60.0
    late: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process, and for how many seconds it, and its event loop, have been silent."""

    mesh: str
    node: str
    pid: int
    started_at: datetime
    definitions: Sequence[str]
    silent: float
    loop_silent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentDefinition:
    """The newest definition of a workflow; `older` ones are kept for the runs that follow them."""

    workflow: str
    version: str
    inserted_at: datetime
    older: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Our work in one queue of Oban's: jobs that wait in it, and steps under way (`executing`).

    Jobs are those of every mesh on this Oban, steps those of this schema. `oldest` is for how many
    seconds one has been available.
    """

    queue: str
    available: int
    executing: int
    scheduled: int
    oldest: float | None
    processes: int
    paused: int
    slots: int

    @property
    def is_served(self) -> bool:
        """Whether a process takes jobs of it."""
        return self.processes > self.paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The step that has been due the longest, in seconds, and how many steps fit no code."""

    late: float | None
    parked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One look at an installation. `lacking` are migrations; None when there is no schema."""

    schema: str
    lacking: Sequence[int] | None
    has_oban: bool
    patience: Patience
    workers: Sequence[Worker] = ()
    definitions: Sequence[CurrentDefinition] = ()
    queues: Sequence[Queue] = ()
    work: Work | None = None

    def is_alive(self, worker: Worker) -> bool:
        """Whether a process holds its lease."""
        return worker.silent < self.patience.lease

    def is_blocked(self, worker: Worker) -> bool:
        """Whether a process lives, and its event loop doesn't answer."""
        return self.is_alive(worker) and worker.loop_silent >= self.patience.blocked

    def problems(self, node: str | None = None) -> list[str]:
        """What is wrong, in sentences; with `node`, as far as the processes of one machine go."""
        if missing := self._missing():
            return missing
        workers = [one for one in self.workers if node in (None, one.node)]
        found = [
            f"process {one.pid} on {one.node} is blocked: its event loop last answered "
            f"{one.loop_silent:.0f} s ago"
            for one in workers
            if self.is_blocked(one)
        ]
        if not any(map(self.is_alive, workers)):
            found.append("no worker is alive" + (f" on {node}" if node else ""))
        return found if node else found + self._of_work()

    def _missing(self) -> list[str]:
        found = [] if self.has_oban else ["Oban's tables are missing"]
        if self.lacking is None:
            found.append(f"schema {self.schema!r} is not installed")
        elif self.lacking:
            found.append(f"schema {self.schema!r} lacks migrations {list(self.lacking)}")
        return found

    def _of_work(self) -> list[str]:
        found = [
            f"queue {queue.queue!r} has {queue.available} jobs and no process takes them"
            for queue in self.queues
            if queue.available and not queue.is_served
        ]
        late = self.work.late if self.work else None
        if late is not None and late > self.patience.late:
            found.append(f"a step has been ready for {late:.0f} s and nobody has taken it")
        return found


async def examine(
    connection: AsyncConnection[Any], statements: Statements, patience: Patience, *, has_oban: bool
) -> Health:
    """Look at an installation. `has_oban`: whether Oban's tables are there."""

    async def every[Row](kind: type[Row], name: str) -> list[Row]:
        async with cursor_on(connection, class_row(kind)) as cursor:
            await cursor.execute(statements[name])
            return await cursor.fetchall()

    lacking = await migrations.lacking(connection, statements)
    if lacking is None or lacking or not has_oban:
        return Health(
            schema=statements.schema, lacking=lacking, has_oban=has_oban, patience=patience
        )
    (work,) = await every(Work, "find_oldest_due")
    return Health(
        schema=statements.schema,
        lacking=lacking,
        has_oban=has_oban,
        patience=patience,
        workers=await every(Worker, "list_workers"),
        definitions=await every(CurrentDefinition, "list_definitions"),
        queues=await every(Queue, "list_queues"),
        work=work,
    )
