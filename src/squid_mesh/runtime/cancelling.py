"""Cancels runs: at once when nothing of them executes, else when the last body has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from squid_mesh.engine.states import RUN_MOVES, RunStatus
from squid_mesh.errors import InvalidTransition, RunNotFound
from squid_mesh.runtime.facts import Facts, as_json
from squid_mesh.store.hosts import cursor_on
from squid_mesh.store.statements import Statements

_ASKED = frozenset({RunStatus.CANCELLING, RunStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The status that a cancelled run has, and whether it was this call that cancelled it."""

    status: RunStatus
    is_new: bool
    trigger: str = ""
    trace: str | None = None
    age: float = 0.0
    """Seconds since the run was started."""


async def cancel(
    connection: AsyncConnection[Any],
    statements: Statements,
    run_id: UUID,
    facts: Facts,
) -> Cancellation:
    """Cancel a run in the connection's transaction.

    The lock is one statement and the decision the next: the decision must see every claim that was
    made before the lock was had. Raises `RunNotFound` or `InvalidTransition`.
    """
    async with cursor_on(connection, tuple_row) as cursor:
        await cursor.execute(statements["lock_run"], {"run": run_id})
        found = await cursor.fetchone()
        if found is None:
            raise RunNotFound(run_id)
        status = RunStatus(found[0])
        if status in _ASKED:
            return Cancellation(status, is_new=False)
        if not RUN_MOVES[status] & _ASKED:
            raise InvalidTransition(run_id, status, RunStatus.CANCELLED)
        await cursor.execute(
            statements["cancel_run"],
            {
                "run": run_id,
                "actor": as_json(facts.actor),
                "comment": facts.comment,
                "rest": statements.rest,
            },
        )
        cancelled = await cursor.fetchone()
        assert cancelled is not None, "a locked run that may be cancelled is"
        status, trigger, trace, age = cancelled
        return Cancellation(RunStatus(status), is_new=True, trigger=trigger, trace=trace, age=age)
