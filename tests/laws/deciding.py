"""Processes that decide about a paused run and end hard between two statements of it.

Run as `python -m tests.laws.deciding DSN RUN…`. The so manieth process gets the so manieth run, and
exits at the so manieth boundary, without a word to anybody, until one has decided and closed its
mesh. It tells how many exited.
"""

import asyncio
import itertools
import os
import sys
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor

from tests.laws.crashing import CRASHED
from tests.laws.workflows import WORKFLOWS
from tests.meshes import on_host

_decides = ContextVar("decides", default=False)
"""Whether this task makes the decision: what the mesh does beside it is no boundary of it."""


def crash_at(last: int) -> None:
    """Exit before or after a statement of this process, or after its commit."""
    count = itertools.count(1)
    execute, commit = AsyncCursor.execute, AsyncConnection._commit_gen

    def boundary() -> None:
        if _decides.get() and next(count) == last:
            os._exit(CRASHED)

    async def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        boundary()
        result = await execute(self, *arguments, **options)
        boundary()
        return result

    def committed(self: Any) -> Any:
        boundary()
        yield from commit(self)
        boundary()

    AsyncCursor.execute = counted  # type: ignore[method-assign]
    AsyncConnection._commit_gen = committed  # type: ignore[method-assign]


async def decide(dsn: str, run_id: UUID, boundary: int) -> None:
    """Let it go on, in a process that drives nothing."""
    async with on_host(dsn, WORKFLOWS, queues={}) as mesh:
        crash_at(boundary)
        _decides.set(True)
        await mesh.unblock_run(run_id, actor="ops", key="once")
    os._exit(0)


def main(dsn: str, runs: list[str]) -> None:
    for boundary, run_id in enumerate(runs, 1):
        pid = os.fork()
        if pid == 0:
            asyncio.run(decide(dsn, UUID(run_id), boundary))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in {0, CRASHED}, code
        if code == 0:
            print(boundary - 1)  # noqa: T201  # how it answers
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
