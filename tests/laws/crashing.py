"""Processes that drive one run and end hard at a boundary between two durable writes.

In a transactional step the boundaries are before and after each exchange with the database: from
the beginning of its transaction to the answer to its commit.

Run as `python -m tests.laws.crashing DSN WORKFLOW`. For each boundary 1, 2, … it forks a process
that starts a run and exits there, without a word to anybody, until one gets to its run's end. It
tells the number of boundaries.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, override

from psycopg import AsyncConnection, Connection

from squid_mesh.runtime.failures import BodyFailure
from squid_mesh.runtime.ledger import Ledger
from squid_mesh.runtime.results import Settled
from squid_mesh.runtime.transactions import Inside, Transactions
from tests.laws import transactional
from tests.laws.journal import Journal
from tests.laws.worker import HEARTBEAT
from tests.laws.workflows import WORKFLOWS
from tests.meshes import ended, on_host

CRASHED = 17

type Write = Callable[..., Awaitable[Any]]


class Boundaries:
    """Counts boundaries, and exits at one of them."""

    def __init__(self) -> None:
        self.last = 0
        self._count = itertools.count(1)

    def __call__(self) -> None:
        """Here is one."""
        if next(self._count) == self.last:
            os._exit(CRASHED)


boundary = Boundaries()
inside: ContextVar[bool] = ContextVar("inside", default=False)
"""Whether what is executed belongs to a transactional step, on the loop or in its thread."""


class CrashingAsync(AsyncConnection[Any]):
    @override
    async def wait(self, *arguments: Any, **options: Any) -> Any:
        if not inside.get():
            return await super().wait(*arguments, **options)
        boundary()
        result = await super().wait(*arguments, **options)
        boundary()
        return result


class CrashingSync(Connection[Any]):
    @override
    def wait(self, *arguments: Any, **options: Any) -> Any:
        if not inside.get():
            return super().wait(*arguments, **options)
        boundary()
        result = super().wait(*arguments, **options)
        boundary()
        return result


def crash_at(last: int) -> None:
    """Exit before or after a durable write: at the so manieth boundary of this process."""
    boundary.last = last
    run = Transactions.run

    async def run_inside(self: Transactions, body: Inside) -> Settled | BodyFailure:
        inside.set(True)
        try:
            return await run(self, body)
        finally:
            inside.set(False)

    Transactions.run = run_inside  # type: ignore[method-assign,assignment]  # to know what is inside

    def between(write: Write) -> Write:
        async def written(*arguments: Any) -> Any:
            boundary()
            result = await write(*arguments)
            boundary()
            return result

        return written

    for name in ("start_run", "claim", "advance", "fail"):
        setattr(Ledger, name, between(getattr(Ledger, name)))


async def play(dsn: str, workflow: str, boundary: int) -> None:
    """Drive a run of one's own to its end, out of a queue of one's own: nobody else's."""
    everything = [*WORKFLOWS, *transactional.WORKFLOWS]
    chosen = next(w for w in everything if w.__name__ == workflow)
    queue = f"boundary_{boundary}"
    async with (
        Journal(dsn) as journal,
        transactional.makers(dsn, CrashingAsync, CrashingSync) as makers,
        on_host(
            dsn,
            [chosen],
            queues={queue: 5},
            queue=queue,
            pool={"connection_class": CrashingAsync},
            resources=[journal, *makers],
            heartbeat=HEARTBEAT,
            lease=timedelta(hours=1),  # it takes nothing over
        ) as mesh,
    ):
        run = await mesh.start_run(chosen, tags={"boundary": str(boundary)})
        await ended(mesh, run.id)


def process(dsn: str, workflow: str, boundary: int) -> int:
    """Fork one; its exit code."""
    pid = os.fork()
    if pid == 0:
        crash_at(boundary)
        asyncio.run(play(dsn, workflow, boundary))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(dsn: str, workflow: str) -> None:
    for boundary in itertools.count(1):
        code = process(dsn, workflow, boundary)
        assert code in {0, CRASHED}, code
        if code == 0:
            print(boundary - 1)  # noqa: T201  # how it answers
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
