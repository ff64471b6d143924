"""Every hot statement as something that can be done: each prepares runs that it finds work on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from psycopg import AsyncConnection

from squid_mesh.engine.states import ENDED
from squid_mesh.inspection.situation import MOST_AHEAD
from squid_mesh.runtime.cancelling import cancel
from squid_mesh.runtime.facts import NO_FACTS
from squid_mesh.runtime.pruning import _FIRST, BATCH
from squid_mesh.store.columns import Texts, Uuids
from squid_mesh.store.records import Claim, Claimed, Interrupted, Take
from squid_mesh.store.writes import Writer
from tests.clock import one
from tests.laws.records import record
from tests.laws.worlds import LEASE, LONE, PAIR, STATEMENTS, Hand, Shape

type Act = Callable[[AsyncConnection[Any]], Awaitable[object]]
"""Executes a statement, maybe with others."""

QUEUE, WORKER = "squid_mesh", "squid_mesh.squid_mesh"
_JOBS = {"queue": QUEUE, "worker": WORKER, "priority": 0}
_ENDED_BY = "select extract(epoch from now() - timestamptz '2026-01-01 00:05')::float8"
"""The age of a crowd's oldest runs."""


@dataclass(frozen=True)
class Stage:
    """Where acts are prepared."""

    dsn: str
    hand: Hand

    @property
    def writer(self) -> Writer:
        return self.hand.writer

    async def started(self, shape: Shape = LONE) -> UUID:
        start = shape.start()
        await self.hand.start(start)
        return start.run_id

    async def claimed(self, shape: Shape, *steps: str) -> list[Claimed]:
        run_id = await self.started(shape)
        return await self.hand.claimed(*(Claim(run_id, step) for step in steps))

    async def only(self) -> Claimed:
        (claimed,) = await self.claimed(LONE, "only")
        return claimed

    async def written(self, kind: str) -> UUID:
        """A run whose step ended in this way."""
        claimed = await self.only()
        await self.hand.advance(record(kind, claimed))
        return claimed.run_id

    async def job(self, run_id: UUID) -> int:
        query = "select job_id from squid_mesh.steps where run_id = %s"
        (job,) = await one(self.dsn, query, run_id)
        return int(job)


ACTS: dict[str, Callable[[Stage], Awaitable[Act]]] = {}
"""By the name of the statement that each is about."""


def act(making: Callable[[Stage], Awaitable[Act]]) -> None:
    """Have what a function prepares done for the statement of its name."""
    ACTS[making.__name__] = making


def executes(statement: str, **parameters: Any) -> Act:
    return lambda connection: connection.execute(STATEMENTS[statement], parameters)


def of_a_run(statement: str, **parameters: Any) -> None:
    """A statement that reads what there is of one run, whose first attempt has failed."""

    async def making(stage: Stage) -> Act:
        return executes(statement, run=await stage.written("is tried again"), **parameters)

    ACTS[statement] = making


of_a_run("find_applied", step="only", next="next", boot=1)
of_a_run("find_event", key="key")
of_a_run("find_start")
of_a_run("find_unfinished_steps")
of_a_run("enter_transaction", step="only", attempt=1, boot=1)
of_a_run("get_attempts")
of_a_run("get_audit_events")
of_a_run("get_run")
of_a_run("get_steps")
of_a_run("lock_run")
of_a_run("read_paused")
of_a_run("read_run_facts")
of_a_run("read_secrets", steps=["only"])
of_a_run(
    "note_event", step="only", type="resumed", actor=None, comment=None, metadata=None, key="key"
)


# starting and driving


@act
async def start_runs(stage: Stage) -> Act:
    return lambda connection: stage.writer.start(connection, [LONE.start(), PAIR.start()])


@act
async def find_by_key(_: Stage) -> Act:
    return executes("find_by_key", workflow="lone", key="key")


@act
async def claim_steps(stage: Stage) -> Act:
    claims = [Claim(await stage.started(), "only") for _ in range(2)]
    return lambda connection: stage.writer.claim(connection, claims)


@act
async def take_steps(stage: Stage) -> Act:
    await stage.started()
    takes = [Take(stage.writer.queueing.queue) for _ in range(2)]
    return lambda connection: stage.writer.take(connection, takes)


@act
async def advance_chain(stage: Stage) -> Act:
    records = [
        record("completes and goes on", await stage.only()),
        record("completes and ends", await stage.only(), job=1),
    ]
    return lambda connection: stage.writer.advance(connection, records)


@act
async def advance_steps(stage: Stage) -> Act:
    records = [
        *map(PAIR.completed, await stage.claimed(PAIR, "left", "right")),
        record("completes and hands over", await stage.only()),
        record("is tried again", await stage.only()),
    ]
    return lambda connection: stage.writer.advance(connection, records)


@act
async def load_outputs(stage: Stage) -> Act:
    left, _ = await stage.claimed(PAIR, "left", "right")
    return lambda connection: stage.writer.load(connection, [left.run_id])


@act
async def stage_jobs(stage: Stage) -> Act:
    jobs = [await stage.job(await stage.written("sleeps"))]
    return lambda connection: stage.writer.stage(connection, jobs)


@act
async def return_job(stage: Stage) -> Act:
    job = await stage.job(await stage.started())
    return lambda connection: stage.writer.give_back(connection, job)


# ending and deciding


@act
async def fail_run(stage: Stage) -> Act:
    failed = record("fails", await stage.only())
    return lambda connection: stage.writer.fail(connection, failed)


@act
async def cancel_run(stage: Stage) -> Act:
    run_id = await stage.started(PAIR)
    return lambda connection: cancel(connection, STATEMENTS, run_id, NO_FACTS)


@act
async def decide_step(stage: Stage) -> Act:
    decision = {
        "run": await stage.written("pauses"),
        "step": "only",
        "attempt": 1,
        "status": "completed",
        "output": "1",
        "next": "after",
        "joins": [],
        "ends": False,
        "default_queue": QUEUE,
        "channel": STATEMENTS.channel,
        "rest": STATEMENTS.rest,
        **_JOBS,
    }
    return executes("decide_step", decision=orjson.dumps(decision | {"queue": None}).decode())


# watching over


@act
async def heartbeat(stage: Stage) -> Act:
    lists: dict[str, Any] = {"queues": [QUEUE], "definitions": ["lone"], "actions": []}
    return executes(
        "heartbeat", boot=stage.writer.boot, mesh="m", node="n", pid=1, loop_age=0.0, **lists
    )


@act
async def find_interrupted(stage: Stage) -> Act:
    return executes(
        "find_interrupted",
        silence=LEASE,
        blocked=60.0,
        boot=stage.writer.boot,
        run=Uuids([]),
        step=Texts([]),
    )


@act
async def retry_interrupted(stage: Stage) -> Act:
    dead = await stage.only()
    boot = stage.writer.boot
    found = [Interrupted(dead.run_id, dead.step, dead.attempt, boot, dead.definition, 0)]
    return lambda connection: stage.writer.retry_interrupted(connection, found)


@act
async def requeue_overdue(stage: Stage) -> Act:
    return lambda connection: stage.writer.requeue_overdue(connection, overdue=5.0, silence=LEASE)


@act
async def queue_schedules(_: Stage) -> Act:
    schedules = '[{"workflow": "workflow_1", "trigger": "nightly"}]'
    return executes(
        "queue_schedules", schedules=schedules, overdue=5.0, making=60.0, silence=LEASE, **_JOBS
    )


@act
async def find_parked(stage: Stage) -> Act:
    await stage.written("is parked")
    return executes("find_parked")


@act
async def release_parked(stage: Stage) -> Act:
    await stage.written("is parked")
    return lambda connection: stage.writer.release_parked(connection, [("lone", "only")])


@act
async def find_oldest_due(_: Stage) -> Act:
    return executes("find_oldest_due")


# looking and pruning


@act
async def watch_runs(stage: Stage) -> Act:
    return executes("watch_runs", runs=[await stage.started()])


@act
async def get_statuses(stage: Stage) -> Act:
    return executes("get_statuses", runs=[await stage.started()])


@act
async def find_jobs(stage: Stage) -> Act:
    job = await stage.job(await stage.started())
    return executes("find_jobs", jobs=[job], most=MOST_AHEAD)


@act
async def prune_runs(stage: Stage) -> Act:
    (age,) = await one(stage.dsn, _ENDED_BY)
    outcomes = [str(status) for status in ENDED]
    first, first_id = _FIRST
    return executes(
        "prune_runs", age=age, outcomes=outcomes, after=first, after_id=first_id, most=20
    )


@act
async def prune_jobs(_: Stage) -> Act:
    return executes("prune_jobs", age=3600.0, worker=WORKER, most=BATCH)
