"""Makes decisions about paused steps durable: a person's at a gate, an operator's, or a deadline's.

One transaction locks the run, sees what waits, moves the step with everything that follows from it,
and keeps who decided what. So a decision that has returned is durable together with the job of the
next step (law 6); of two decisions the second finds nothing left to decide.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import orjson
from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row, tuple_row

from squid_mesh.engine.planner import Fail
from squid_mesh.engine.states import RunStatus, StepStatus
from squid_mesh.errors import KeyConflict, RunNotFound
from squid_mesh.runtime.cases import TIMED_OUT, Asked, Case, Move, Paused, find
from squid_mesh.runtime.catalog import Plan
from squid_mesh.runtime.facts import Facts, as_json
from squid_mesh.store.hosts import cursor_on
from squid_mesh.store.statements import Statements
from squid_mesh.store.writes import DECISION, Queueing


@dataclass(frozen=True, slots=True)
class Moved:
    """A step moved, and what its run is now. Times are seconds."""

    step: str
    attempt: int
    status: RunStatus
    trigger: str
    trace: str | None
    waited: float
    """Since its attempt began."""
    age: float
    """Since its run was started."""


@dataclass(frozen=True, slots=True)
class Decider:
    """Each decision in the transaction of the connection that it is given."""

    statements: Statements
    queueing: Queueing

    async def decide(
        self, connection: AsyncConnection[Any], run_id: UUID, plan: Plan, asked: Asked
    ) -> Moved | None:
        """Move the step that is meant; None when the same was decided before, under the same key.

        Raises `RunNotFound`, `KeyConflict`, `InvalidTransition`, `InvalidStep`, `AmbiguousStep`,
        and for an output that is supplied `InvalidReview` or `IncompatibleCode`.
        """
        await self._lock(connection, run_id)
        if await self._is_known(connection, run_id, asked):
            return None
        paused = await self._paused(connection, run_id)
        return await self._move(connection, find(run_id, plan, paused, asked))

    async def time_out(
        self, connection: AsyncConnection[Any], run_id: UUID, plan: Plan, step: str
    ) -> Moved | None:
        """Move an approval whose deadline has passed; None when it is too early, or decided."""
        await self._lock(connection, run_id)
        for paused in await self._paused(connection, run_id):
            if paused.step == step and paused.due_at is not None and paused.due_at <= paused.now:
                return await self._move(connection, Case(run_id, plan, paused, TIMED_OUT))
        return None

    async def _lock(self, connection: AsyncConnection[Any], run_id: UUID) -> None:
        """Lock the run first: what the next statement reads can't move any more (law 11)."""
        async with cursor_on(connection, scalar_row) as cursor:
            await cursor.execute(self.statements["lock_run"], {"run": run_id})
            if await cursor.fetchone() is None:
                raise RunNotFound(run_id)

    async def _is_known(self, connection: AsyncConnection[Any], run_id: UUID, asked: Asked) -> bool:
        """Whether the key was used for the same before. Raises `KeyConflict`."""
        key = asked.facts.key
        if key is None:
            return False
        async with cursor_on(connection, tuple_row) as cursor:
            await cursor.execute(self.statements["find_event"], {"run": run_id, "key": key})
            row = await cursor.fetchone()
        if row is None:
            return False
        event, step = row
        if event != asked.decided or asked.step not in {None, step}:
            raise KeyConflict(run_id, key)
        return True

    async def _paused(self, connection: AsyncConnection[Any], run_id: UUID) -> list[Paused]:
        async with cursor_on(connection, class_row(Paused)) as cursor:
            await cursor.execute(self.statements["read_paused"], {"run": run_id})
            return await cursor.fetchall()

    async def _move(self, connection: AsyncConnection[Any], case: Case) -> Moved:
        match case.move():
            case Fail():
                status = await self._fail(connection, case)
            case move:
                status = await self._write(connection, case, move)
        facts = case.asked.facts
        await note(connection, self.statements, case.run_id, case.asked.decided, facts, case.step)
        return _moved(case, status)

    async def _write(self, connection: AsyncConnection[Any], case: Case, move: Move) -> RunStatus:
        document = asdict(move) | {
            "run": case.run_id,
            "step": case.step,
            "attempt": case.paused.attempt,
            "default_queue": self.queueing.queue,
            "worker": self.queueing.worker,
            "priority": DECISION,
            "channel": self.statements.channel,
            "rest": self.statements.rest,
        }
        parameters = {"decision": orjson.dumps(document).decode()}
        async with cursor_on(connection, scalar_row) as cursor:
            await cursor.execute(self.statements["decide_step"], parameters)
            return RunStatus(str(await cursor.fetchone()))

    async def _fail(self, connection: AsyncConnection[Any], case: Case) -> RunStatus:
        parameters = {
            "run": case.run_id,
            "step": case.step,
            "attempt": case.paused.attempt,
            "claim": case.paused.claim,
            "leaves": StepStatus.PAUSED,
            "status": StepStatus.FAILED,
            "error": case.paused.error,
            "rest": self.statements.rest,
        }
        async with cursor_on(connection, scalar_row) as cursor:
            await cursor.execute(self.statements["fail_run"], parameters)
            ended = await cursor.fetchone()
        return RunStatus.RUNNING if ended is None else RunStatus(str(ended))


def _moved(case: Case, status: RunStatus) -> Moved:
    paused = case.paused
    began = paused.started_at or paused.now
    return Moved(
        step=case.step,
        attempt=paused.attempt,
        status=status,
        trigger=paused.trigger,
        trace=paused.trace,
        waited=(paused.now - began).total_seconds(),
        age=(paused.now - paused.inserted_at).total_seconds(),
    )


async def note(
    connection: AsyncConnection[Any],
    statements: Statements,
    run_id: UUID,
    event: str,
    facts: Facts,
    step: str | None = None,
) -> None:
    """Keep who did what, in the transaction that does it."""
    await connection.execute(
        statements["note_event"],
        {
            "run": run_id,
            "step": step,
            "type": event,
            "actor": as_json(facts.actor),
            "comment": facts.comment,
            "metadata": as_json(facts.metadata),
            "key": facts.key,
        },
    )
