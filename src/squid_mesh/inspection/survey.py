"""Reads a situation: everything that decides where a run is, at one moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from squid_mesh.definition.secrets import NO_SECRETS, Secrets
from squid_mesh.engine.states import RunStatus, StepStatus
from squid_mesh.errors import RunNotFound
from squid_mesh.inspection import reading
from squid_mesh.inspection.code import Code
from squid_mesh.inspection.reading import Row
from squid_mesh.inspection.situation import (
    MOST_AHEAD,
    Job,
    Lease,
    Limits,
    Live,
    Producer,
    RunFacts,
    Situation,
)

PRODUCER_SECONDS = 60.0
"""Oban's own bound: a producer that hasn't been refreshed for so long is gone."""

type Rows = Callable[[str, Mapping[str, Any]], Awaitable[list[dict[str, Any]]]]
"""The rows of a statement, on the connection whose moment it is."""

_LIVE = frozenset({StepStatus.WAITING, StepStatus.PENDING, StepStatus.SCHEDULED})
_CLAIMED = frozenset({StepStatus.RUNNING, StepStatus.PAUSED})


@dataclass(frozen=True, slots=True)
class Survey:
    """The reads of one explanation. `code_of` gives what is known of a definition."""

    rows: Rows
    code_of: Callable[[str], Awaitable[Code]]
    limits: Limits

    async def of(self, run_id: UUID) -> Situation:
        """The situation of a run. Raises `RunNotFound`."""
        found = await self.rows("read_run_facts", {"run": run_id})
        if not found:
            raise RunNotFound(run_id)
        run = found[0]
        code = await self.code_of(run["definition"])
        secrets = await self._secrets(run_id, code)
        steps = await self.rows("find_unfinished_steps", {"run": run_id})
        live = [row for row in steps if row["status"] in _LIVE | _CLAIMED]
        jobs = await self._jobs(live)
        leases = await self._leases(run, live)
        states = [
            self._live(row, code, secrets, jobs.get(row["job_id"]), leases, steps) for row in live
        ]
        bound = run["clock"] - self.limits.lease
        return Situation(
            at=run["at"],
            clock=run["clock"],
            limits=self.limits,
            run=_facts(run, code, secrets, steps),
            steps=tuple(states),
            leases=tuple(lease for lease in leases.values() if lease.alive_at > bound),
            producers=await self._producers({state.queue for state in states}),
        )

    async def _secrets(self, run_id: UUID, code: Code) -> Secrets:
        steps = [s.name for s in code.spec.steps if s.action is not None and s.action.secret]
        if not steps and not reading.secrets(code.spec):
            return NO_SECRETS
        (row,) = await self.rows("read_secrets", {"run": run_id, "steps": steps})
        return code.secrets(row["payload"], row["outputs"] or {})

    async def _jobs(self, live: Sequence[Row]) -> dict[int, tuple[str, Job]]:
        """Jobs by id, each with its queue."""
        ids = [row["job_id"] for row in live if row["job_id"] is not None]
        rows = await self.rows("find_jobs", {"jobs": ids, "most": MOST_AHEAD}) if ids else []
        return {row["id"]: (row.pop("queue"), Job(**row)) for row in rows}

    async def _leases(self, run: Row, live: Sequence[Row]) -> dict[int, Lease]:
        rows = await self.rows(
            "find_leases",
            {
                "boots": [row["claim"] for row in live if row["claim"] is not None],
                "definition": run["definition"],
                "actions": [row["needs"] for row in live if row["needs"] is not None],
                "silence": self.limits.lease.total_seconds(),
            },
        )
        for row in rows:
            row["knows_actions"] = frozenset(row["knows_actions"])
        return {row["boot"]: Lease(**row) for row in rows}

    async def _producers(self, queues: set[str]) -> dict[str, tuple[Producer, ...]]:
        asked = {"queues": sorted(queues), "silence": PRODUCER_SECONDS}
        found: dict[str, list[Producer]] = {}
        for row in await self.rows("find_producers", asked):
            found.setdefault(row["queue"], []).append(Producer(**row))
        return {queue: tuple(producers) for queue, producers in found.items()}

    def _live(
        self,
        row: Row,
        code: Code,
        secrets: Secrets,
        found: tuple[str, Job] | None,
        leases: Mapping[int, Lease],
        unfinished: Sequence[Row],
    ) -> Live:
        step = row["step"]
        operations = code.operations[step]
        open_steps = {other["step"] for other in unfinished}
        queue, job = found or (row["queue"] or self.limits.queue, None)
        return Live(
            step=step,
            kind=code.spec.by_name[step].kind,
            status=StepStatus(row["status"]),
            attempt=row["attempt"],
            max_attempts=operations.retry.max_attempts if operations.retry else None,
            on_interrupt=operations.on_interrupt,
            queue=queue,
            error=reading.failure(row["error"], secrets),
            due_at=row["due_at"],
            started_at=row["started_at"],
            needs=row["needs"],
            misfits=code.misfits[step],
            waits_for=tuple(n for n in code.graph.needs.get(step, ()) if n in open_steps),
            interruptions=row["interruptions"],
            interrupted_at=row["interrupted_at"],
            job=job,
            claim=row["claim"],
            lease=leases.get(row["claim"]),
        )


def _facts(run: Row, code: Code, secrets: Secrets, steps: Sequence[Row]) -> RunFacts:
    error = reading.failure(run["error"], secrets)
    failed = code.operations.get(error.step) if error else None
    ends = {row["step"]: row["finished_at"] for row in steps}
    return RunFacts(
        id=run["id"],
        workflow=run["workflow"],
        definition=run["definition"],
        trigger=run["trigger"],
        status=RunStatus(run["status"]),
        window=run["window_at"],
        error=error,
        failed_at=ends.get(error.step) if error else None,
        max_attempts=failed.retry.max_attempts if failed and failed.retry else None,
        inserted_at=run["inserted_at"],
        updated_at=run["updated_at"],
        ended_at=run["ended_at"],
        cancel_requested_at=run["cancel_requested_at"],
        cancelled_by=secrets.hide_in(run["cancelled_by"]),
        cancel_comment=secrets.hide_in(run["cancel_comment"]),
    )
