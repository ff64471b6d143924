"""The grouped statements as functions: records in, one outcome a record out."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import orjson
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from squid_mesh.engine.states import RunStatus, StepStatus
from squid_mesh.store.columns import Bigints, Bools, Floats, Ints, Texts, Uuids
from squid_mesh.store.committer import BUSY, Busy
from squid_mesh.store.outcomes import outcomes_of
from squid_mesh.store.records import (
    Advanced,
    Claim,
    Claimed,
    Claiming,
    Ended,
    Interrupted,
    Loaded,
    Nothing,
    NotYet,
    Outcome,
    Overdue,
    Progress,
    Released,
    Stale,
    Start,
    Stopped,
    Take,
    Taken,
)
from squid_mesh.store.statements import Statements

RECOVERY, DECISION, CONTINUATION, START = 0, 1, 2, 5
"""Priorities of jobs (Oban runs the lowest first): what is under way goes before what begins."""


SOON = "set local lock_timeout = '50ms'"
"""Before a lock that a host may hold."""


@dataclass(frozen=True, slots=True)
class Queueing:
    """Where jobs go: the queue of steps that name none, and the worker that Oban resolves."""

    queue: str
    worker: str


@dataclass(frozen=True)
class Writer:
    """Writes groups of records for one boot.

    `heard`: whether claims say for how long their steps had been ready.
    """

    statements: Statements
    queueing: Queueing
    boot: int
    heard: bool = False

    async def start(
        self, connection: AsyncConnection[Any], starts: Sequence[Start]
    ) -> list[datetime | Busy | None]:
        """Start runs; when each was inserted, None for one whose key or window is taken."""
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(
                self.statements["start_runs"],
                start_parameters(starts, self.statements, self.queueing, untold=False),
            )
            inserted: dict[UUID, datetime] = dict(await cursor.fetchall())
        return [inserted.get(start.run_id) for start in starts]

    async def confirm_start(
        self, connection: AsyncConnection[Any], start: Start, outcome: datetime | None
    ) -> datetime | None:
        """When a run was inserted whose first answer was lost."""
        if outcome is not None:
            return outcome
        cursor = await connection.execute(self.statements["find_start"], {"run": start.run_id})
        row = await cursor.fetchone()
        return None if row is None else row[0]

    async def claim(
        self, connection: AsyncConnection[Any], claims: Sequence[Claim]
    ) -> list[Claiming | Busy]:
        """Claim steps; `Busy` for those whose run somebody else holds."""
        cursor = await connection.execute(
            self.statements["claim_steps"],
            {
                "ord": Ints(range(len(claims))),
                "run": Uuids([claim.run_id for claim in claims]),
                "step": Texts([claim.step for claim in claims]),
                "n": len(claims),
                "boot": self.boot,
                "heard": self.heard,
            },
            prepare=True,
        )
        outcomes: list[Claiming | Busy] = [BUSY] * len(claims)
        rows: list[tuple[Any, ...]] = await cursor.fetchall()
        stored = _stored(rows)
        for number, *claimed, due_in in rows:
            if claimed[_ATTEMPT]:
                outcomes[number] = _claimed(claimed, stored)
            elif isinstance(outcomes[number], Busy):
                outcomes[number] = _unclaimed(due_in, claimed[_DEFINITION])
        return outcomes

    async def take(
        self, connection: AsyncConnection[Any], takes: Sequence[Take]
    ) -> list[Taken | Busy | None]:
        """Claim the steps that are next in queues; None where there are no more."""
        places: defaultdict[str, list[int]] = defaultdict(list)
        for number, take in enumerate(takes):
            places[take.queue].append(number)
        cursor = await connection.execute(
            self.statements["take_steps"],
            {
                "queue": Texts(list(places)),
                "places": Ints([len(numbers) for numbers in places.values()]),
                "n": len(takes),
                "worker": self.queueing.worker,
                "boot": self.boot,
                "heard": self.heard,
            },
            prepare=True,
        )
        outcomes: list[Taken | Busy | None] = [None] * len(takes)
        rows: list[tuple[Any, ...]] = await cursor.fetchall()
        stored = _stored(rows)
        for job, *claimed in rows:
            said = claimed[_JOB]
            number = places[said["queue"]].pop()
            outcomes[number] = Taken(_claimed(claimed, stored), job, said["args"])
        return outcomes

    async def load(self, connection: AsyncConnection[Any], runs: list[UUID]) -> list[Loaded | Busy]:
        """What runs have stored."""
        cursor = await connection.execute(
            self.statements["load_outputs"],
            {"ord": Ints(range(len(runs))), "run": Uuids(runs), "n": len(runs)},
            prepare=True,
        )
        loaded: list[Loaded | Busy] = [Loaded({}, {})] * len(runs)
        rows: list[tuple[Any, ...]] = await cursor.fetchall()
        for number, outputs, errors in rows:
            loaded[number] = Loaded(outputs or {}, errors or {})
        return loaded

    async def advance(
        self, connection: AsyncConnection[Any], records: list[Progress]
    ) -> list[Outcome | Busy]:
        """Write progress."""
        statement, parameters = self.flush(records)
        cursor = await connection.execute(statement, parameters, prepare=True)
        return outcomes_of(records, await cursor.fetchall())

    def flush(self, records: list[Progress]) -> tuple[LiteralString, dict[str, Any]]:
        """What writes progress, for `outcomes_of`: the lean statement when every record fits it."""
        if all(record.is_chain for record in records):
            return self.statements["advance_chain"], self._chain(records, self.boot)
        return self._full(records, claim=self.boot, ended_as="failed")

    async def advance_for(
        self,
        connection: AsyncConnection[Any],
        records: list[Progress],
        *,
        claim: int,
        ended_as: str,
    ) -> list[Outcome | Busy]:
        """Write any progress of the boot that holds the claims, which recovery may speak for."""
        statement, parameters = self._full(records, claim=claim, ended_as=ended_as)
        cursor = await connection.execute(statement, parameters, prepare=True)
        return outcomes_of(records, await cursor.fetchall())

    def _full(
        self, records: list[Progress], *, claim: int, ended_as: str
    ) -> tuple[LiteralString, dict[str, Any]]:
        parameters = self._chain(records, claim) | self._rest(records) | {"ended_as": ended_as}
        return self.statements["advance_steps"], parameters

    def _chain(self, records: list[Progress], claim: int) -> dict[str, Any]:
        return {
            "ord": Ints(range(len(records))),
            "run": Uuids([r.run_id for r in records]),
            "step": Texts([r.step for r in records]),
            "attempt": Ints([r.attempt for r in records]),
            "output": Texts([r.output for r in records]),
            "next": Texts([r.next for r in records]),
            "queue": Texts([r.queue for r in records]),
            "job": Bigints([r.job for r in records]),
            "n": len(records),
            "boot": claim,
            "rest": self.statements.rest,
        }

    async def confirm_progress(
        self, connection: AsyncConnection[Any], record: Progress, outcome: Outcome
    ) -> Outcome:
        """The outcome of progress whose first answer was lost: refused now, it may be applied.

        A join that came with it is left to the next heartbeat, which releases claims that nobody
        works on: another driver of this process may have won it.
        """
        if not isinstance(outcome, Stale):
            return outcome
        cursor = await connection.execute(
            self.statements["find_applied"],
            {"run": record.run_id, "step": record.step, "next": record.next, "boot": self.boot},
        )
        row = await cursor.fetchone()
        if row is None or not _is_as_written(record, row):
            return outcome
        _, _, _, ended, has_next = row
        if ended is not None:
            return Ended(RunStatus(ended))
        return Advanced(record.next if has_next and record.inline else None)

    def _rest(self, records: list[Progress]) -> dict[str, Any]:
        return {
            "status": Texts([r.status for r in records]),
            "error": Texts([r.error for r in records]),
            "delay": Floats([r.delay for r in records]),
            "inline": Bools([r.inline for r in records]),
            "joins": Texts([_joins(r.joins) for r in records]),
            "takes": Bools([r.takes for r in records]),
            "ends": Bools([r.ends for r in records]),
            "fails": Bools([r.fails for r in records]),
            "needs": Texts([r.needs for r in records]),
            "event": Texts([r.event for r in records]),
            "continuation": CONTINUATION,
            **self._jobs(),
        }

    def _jobs(self) -> dict[str, Any]:
        return {
            "default_queue": self.queueing.queue,
            "worker": self.queueing.worker,
            "channel": self.statements.channel,
        }

    async def fail(
        self,
        connection: AsyncConnection[Any],
        record: Progress,
        *,
        claim: int | None = None,
        status: str = "failed",
    ) -> Outcome:
        """Fail a run whose other steps may be under way: lock it, then decide.

        `claim` and `status` are of an interrupted attempt when it isn't this boot's own. Raises
        psycopg's `LockNotAvailable` soon when somebody else holds the run.
        """
        async with connection.transaction():
            await connection.execute(SOON)
            await connection.execute(self.statements["lock_run"], {"run": record.run_id})
            cursor = await connection.execute(
                self.statements["fail_run"],
                {
                    "run": record.run_id,
                    "step": record.step,
                    "attempt": record.attempt,
                    "claim": self.boot if claim is None else claim,
                    "status": status,
                    "leaves": StepStatus.RUNNING,
                    "error": None if record.error is None else record.error.decode(),
                    "rest": self.statements.rest,
                },
            )
            row = await cursor.fetchone()
        if row is None:
            return Stale()
        return Stopped() if row[0] is None else Ended(RunStatus(row[0]))

    async def retry_interrupted(
        self, connection: AsyncConnection[Any], found: Sequence[Interrupted]
    ) -> list[Released]:
        """Make interrupted steps ready again, those whose run goes on and isn't held."""
        cursor = await connection.execute(
            self.statements["retry_interrupted"],
            {
                "run": Uuids([i.run_id for i in found]),
                "step": Texts([i.step for i in found]),
                "attempt": Ints([i.attempt for i in found]),
                "claim": Bigints([i.claim for i in found]),
                "n": len(found),
                "recovery": RECOVERY,
                "rest": self.statements.rest,
                **self._jobs(),
            },
        )
        return [
            Released(
                run_id, step, attempt, goes_on, None if outcome is None else RunStatus(outcome)
            )
            for run_id, step, attempt, goes_on, outcome in await cursor.fetchall()
        ]

    async def stage(self, connection: AsyncConnection[Any], jobs: list[int]) -> None:
        """Make jobs available whose time has come."""
        await connection.execute(
            self.statements["stage_jobs"], {"jobs": jobs, "channel": self.statements.channel}
        )

    async def give_back(self, connection: AsyncConnection[Any], job: int) -> None:
        """Make a job that was fetched available to others."""
        await connection.execute(
            self.statements["return_job"], {"job": job, "channel": self.statements.channel}
        )

    async def requeue_overdue(
        self, connection: AsyncConnection[Any], *, overdue: float, silence: float
    ) -> int:
        """Give a new job to steps that are due and have none; how many there were."""
        cursor = await connection.execute(
            self.statements["requeue_overdue"],
            {
                "overdue": overdue,
                "silence": silence,
                "boot": self.boot,
                "recovery": RECOVERY,
                **self._jobs(),
            },
        )
        return len(await cursor.fetchall())

    async def release_parked(
        self, connection: AsyncConnection[Any], steps: Sequence[tuple[str, str]]
    ) -> int:
        """Make parked steps ready, given as (definition, step); how many there were."""
        cursor = await connection.execute(
            self.statements["release_parked"],
            {
                "definition": Texts([definition for definition, _ in steps]),
                "step": Texts([step for _, step in steps]),
                "recovery": RECOVERY,
                **self._jobs(),
            },
        )
        return len(await cursor.fetchall())


def start_parameters(
    starts: Sequence[Start], statements: Statements, queueing: Queueing, *, untold: bool
) -> dict[str, Any]:
    """The parameter of `start_runs`: one JSON document, so that any driver can send it.

    `untold` says that the caller can't know when this commits, so that nobody has told of it yet.
    """
    document = {
        "runs": [_start(start) for start in starts],
        "queue": queueing.queue,
        "worker": queueing.worker,
        "channel": statements.channel,
        "untold": untold,
    }
    return {"start": orjson.dumps(document).decode()}


def _start(start: Start) -> dict[str, Any]:
    return {
        "id": start.run_id,
        "workflow": start.workflow,
        "definition": start.definition,
        "trigger": start.trigger,
        "payload": orjson.Fragment(start.payload),
        "key": start.key,
        "window_at": start.window_at,
        "replayed_from": start.replayed_from,
        "tags": start.tags or {},
        "priority": start.priority,
        "job_priority": min(max(START + start.priority, CONTINUATION + 1), 9),
        "trace": start.trace,
        "open_ends": start.open_ends,
        "steps": [{"step": s.step, "open": s.open, "queue": s.queue} for s in start.first],
    }


def _is_as_written(record: Progress, row: tuple[Any, ...]) -> bool:
    """Whether a step is what a record makes of it; one that sleeps gives its attempt back."""
    status, attempt, own = row[:3]
    sleeps = record.error is None and record.status in _ASLEEP
    return own is True and status == record.status and attempt == record.attempt - sleeps


_ASLEEP = frozenset({StepStatus.SCHEDULED, StepStatus.PENDING})


def _unclaimed(due_in: float | None, definition: str) -> Claiming:
    """Why a step can't be claimed; `due_in` is of one that waits for its time."""
    if due_in is None:
        return Nothing()
    return NotYet(due_in) if due_in > 0 else Overdue(definition)


_NOTHING_STORED = Loaded({}, {})


_JOB, _ATTEMPT, _DEFINITION = 2, 3, 5
"""Places in a row of a claim, after its number."""


def _stored(rows: Sequence[tuple[Any, ...]]) -> dict[UUID, Loaded]:
    """What runs have stored, which comes with the first claim of each."""
    stored: dict[UUID, Loaded] = {}
    for row in rows:
        outputs, errors = row[12:14]
        if outputs or errors:
            stored[row[1]] = Loaded(outputs or {}, errors or {})
    return stored


def _claimed(row: Sequence[Any], stored: Mapping[UUID, Loaded]) -> Claimed:
    """A claim; siblings share what is stored, and what a driver adds to it is its own."""
    run_id, step, _, attempt, queue, definition, workflow, trigger, window_at, payload = row[:10]
    resume, _, _, begins, trace, waited, age = row[10:]
    loaded = stored.get(run_id, _NOTHING_STORED)
    return Claimed(
        run_id=run_id,
        step=step,
        attempt=attempt,
        definition=definition,
        workflow=workflow,
        trigger=trigger,
        window_at=window_at,
        queue=queue,
        payload=payload,
        outputs=dict(loaded.outputs),
        errors=dict(loaded.errors),
        slept=resume is not None and "until" in resume,
        begins=begins,
        trace=trace,
        waited=waited,
        started=time.monotonic() - age,
    )


def _joins(steps: tuple[str, ...]) -> bytes | None:
    return orjson.dumps([{"step": step} for step in steps]) if steps else None
