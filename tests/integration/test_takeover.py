"""Processes that die, hang or leave in the middle of a step, and who goes on with it."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from squid_mesh import Mesh, RunDetails
from squid_mesh.runtime import waiting
from tests.clock import every, one
from tests.conformance import conforms
from tests.integration import worker_process
from tests.integration.worker_process import (
    HEARTBEAT,
    LEASE,
    WORKFLOWS,
    Again,
    AtMostOnce,
    Console,
)
from tests.meshes import BOUND, ended, eventually, history, on_host, statuses, step_of

WITHIN = LEASE + 3 * HEARTBEAT + timedelta(seconds=1)
"""A takeover's bound: the lease, a sweep, and room for a busy machine."""


@dataclass
class Worker:
    """A process that drives runs."""

    process: asyncio.subprocess.Process

    async def says(self) -> list[str]:
        """Its next line, in words."""
        assert self.process.stdout
        return (await self.process.stdout.readline()).decode().split()

    async def begins(self, run_id: UUID) -> None:
        """Wait until it has begun the first attempt of a run's step."""
        assert await self.says() == ["begun", str(run_id), "1"]

    def tell(self, line: str) -> None:
        """Let a body go on."""
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n".encode())

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def leaves(self) -> None:
        """End it cleanly."""
        self.signal(signal.SIGTERM)
        assert await self.says() == ["down"]


@asynccontextmanager
async def worker(dsn: str) -> AsyncGenerator[Worker]:
    """A worker process that is up."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"from {worker_process.__name__} import start; start()", dsn),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        worker = Worker(process)
        assert await worker.says() == ["up"]
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class Desk(Console):
    """The console of bodies that run in the test's own process."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def say(self, *words: object) -> None:
        self.said.put_nowait(words)

    async def hear(self) -> str:
        return await self.lines.get()

    async def begins(self, run_id: UUID, attempt: int) -> None:
        """Wait until a body has begun."""
        assert await self.said.get() == ("begun", run_id, attempt)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def heir_of(dsn: str, desk: Desk, **options: Any) -> AbstractAsyncContextManager[Mesh]:
    """The mesh that takes over: in this process, as quick as the workers."""
    quick: dict[str, Any] = {"heartbeat": HEARTBEAT, "lease": LEASE, "resources": [desk]}
    return on_host(dsn, WORKFLOWS, **quick | options)


def attempts_of(run: RunDetails) -> list[tuple[int, str]]:
    return [(a.number, str(a.status)) for a in step_of(run, "work").attempts]


async def start(dsn: str) -> UUID:
    """Start a run where nobody drives it but the workers."""
    async with on_host(dsn, WORKFLOWS, queues={}) as mesh:
        return (await mesh.start_run(Again)).id


@conforms("S171", "S172")
async def test_a_killed_process_s_step_is_taken_over(dsn: str, desk: Desk) -> None:
    async with worker(dsn) as doomed:
        run = await start(dsn)
        await doomed.begins(run)
        async with heir_of(dsn, desk) as heir:
            doomed.signal(signal.SIGKILL)
            killed = time.monotonic()
            await desk.begins(run, 2)
            assert time.monotonic() - killed < WITHIN.total_seconds()
            between = await history(heir, run)
            desk.lines.put_nowait("well done")
            details = await ended(heir, run)

    assert between.status == "running"
    assert attempts_of(between) == [(1, "interrupted"), (2, "running")]
    assert details.status == "completed"
    assert details.context["work"] == "attempt 2, well done"
    assert attempts_of(details) == [(1, "interrupted"), (2, "completed")]
    assert [len(state.attempts) for state in details.steps] == [1, 2, 1]
    assert [(event.type, event.step) for event in details.audit_events] == [("interrupted", "work")]


@conforms("S173")
async def test_a_step_that_may_not_be_tried_again_fails_its_run(dsn: str, desk: Desk) -> None:
    async with worker(dsn) as doomed:
        async with on_host(dsn, WORKFLOWS, queues={}) as mesh:
            run = (await mesh.start_run(AtMostOnce)).id
        await doomed.begins(run)
        async with heir_of(dsn, desk) as heir:
            doomed.signal(signal.SIGKILL)
            details = await ended(heir, run)

    assert details.status == "failed"
    assert details.error is not None
    assert (details.error.code, details.error.attempt) == ("interrupted", 1)
    assert attempts_of(details) == [(1, "interrupted")]
    assert statuses(details) == {"work": "failed", "last": "skipped"}
    assert desk.said.empty()


@conforms("S174")
async def test_a_stopped_process_s_late_result_changes_nothing(dsn: str, desk: Desk) -> None:
    async with worker(dsn) as zombie:
        run = await start(dsn)
        await zombie.begins(run)
        async with heir_of(dsn, desk) as heir:
            zombie.signal(signal.SIGSTOP)
            await desk.begins(run, 2)
            zombie.tell("too late")
            zombie.signal(signal.SIGCONT)
            assert (await zombie.says())[:2] == ["going", "on"]
            await zombie.leaves()

            between = await history(heir, run)
            desk.lines.put_nowait("in time")
            details = await ended(heir, run)

    assert attempts_of(between) == [(1, "interrupted"), (2, "running")]
    assert details.context["work"] == "attempt 2, in time"
    assert attempts_of(details) == [(1, "interrupted"), (2, "completed")]
    assert len(details.audit_events) == 1


@conforms("S60", "S174")
async def test_a_result_that_comes_after_the_end_changes_nothing(dsn: str, desk: Desk) -> None:
    async with worker(dsn) as zombie:
        run = await start(dsn)
        await zombie.begins(run)
        async with heir_of(dsn, desk) as heir:
            zombie.signal(signal.SIGSTOP)
            await desk.begins(run, 2)
            desk.lines.put_nowait("in time")
            details = await ended(heir, run)
            rows = await every(dsn, "select s::text from squid_mesh.steps s order by step")
            zombie.tell("too late")
            zombie.signal(signal.SIGCONT)
            assert (await zombie.says())[:2] == ["going", "on"]
            await zombie.leaves()
            after = await history(heir, run)
    assert await every(dsn, "select s::text from squid_mesh.steps s order by step") == rows
    assert replace(after, steps=(), step_runs=()) == replace(details, steps=(), step_runs=())


async def test_a_process_that_ends_cleanly_gives_its_steps_back(dsn: str, desk: Desk) -> None:
    """At the next sweep, long before the lease is over."""
    async with worker(dsn) as leaving:
        run = await start(dsn)
        await leaving.begins(run)
        async with heir_of(dsn, desk, lease=timedelta(minutes=1)) as heir:
            leaving.signal(signal.SIGTERM)
            await desk.begins(run, 2)
            desk.lines.put_nowait("taken over")
            details = await ended(heir, run)
    assert details.context["work"] == "attempt 2, taken over"
    assert attempts_of(details) == [(1, "interrupted"), (2, "completed")]


async def test_a_mesh_that_closes_gives_back_what_it_holds(dsn: str, desk: Desk) -> None:
    """In one process: the body is cancelled, its result is nobody's, and the next mesh goes on."""
    async with heir_of(dsn, desk) as mesh:
        run = (await mesh.start_run(Again)).id
        await desk.begins(run, 1)
    async with heir_of(dsn, desk) as mesh:
        await desk.begins(run, 2)
        desk.lines.put_nowait("again")
        details = await ended(mesh, run)
    assert attempts_of(details) == [(1, "interrupted"), (2, "completed")]
    assert await every(dsn, "select 1 from squid_mesh.workers") == []


async def test_whoever_waits_is_notified_of_a_run_that_recovery_ends(
    dsn: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also elsewhere, and at once: nobody has to read where the run stands."""
    monkeypatch.setattr(waiting, "READ_SECONDS", 3600.0)
    hour = timedelta(hours=1)
    async with on_host(
        dsn, [], queues={}, name="watcher", heartbeat=hour, lease=2 * hour, blocked=4 * hour
    ) as watcher:
        async with heir_of(dsn, desk) as leaving:
            run = (await leaving.start_run(Again)).id
            await desk.begins(run, 1)
            assert (await leaving.cancel_run(run)).status == "cancelling"
            waits = asyncio.create_task(watcher.wait_for_run(run, timeout=BOUND))
            await eventually(lambda: every(dsn, "select 1 from squid_mesh.runs where watched"))
        async with heir_of(dsn, desk), asyncio.timeout(10):
            assert (await waits).status == "cancelled"


async def test_a_process_that_ends_cleanly_leaves_no_boot_behind(dsn: str) -> None:
    async with worker(dsn) as leaving:
        assert len(await every(dsn, "select 1 from squid_mesh.workers")) == 1
        await leaving.leaves()
        assert await leaving.process.wait() == 0
    assert await every(dsn, "select 1 from squid_mesh.workers") == []


@conforms("S171")
async def test_a_living_process_keeps_its_steps_however_long_they_take(
    dsn: str, desk: Desk
) -> None:
    async with worker(dsn) as busy:
        run = await start(dsn)
        await busy.begins(run)
        async with heir_of(dsn, desk) as heir:

            async def has_watched_for_a_lease_and_a_half() -> bool:
                watched = "select max(started_at) < now() - %s from squid_mesh.workers"
                return bool((await one(dsn, watched, 1.5 * LEASE))[0])

            await eventually(has_watched_for_a_lease_and_a_half)
            assert attempts_of(await history(heir, run)) == [(1, "running")]
            busy.tell("no hurry")
            assert (await ended(heir, run)).context["work"] == "attempt 1, no hurry"


async def test_a_mesh_without_the_code_does_not_get_in_the_way(dsn: str, desk: Desk) -> None:
    """Two meshes share a schema, but not their workflows, queues and names."""
    async with worker(dsn) as doomed:
        run = await start(dsn)
        await doomed.begins(run)
        stranger: dict[str, Any] = {"heartbeat": HEARTBEAT, "lease": LEASE, "name": "stranger"}
        async with on_host(dsn, [], queues={"others": 5}, queue="others", **stranger):
            doomed.signal(signal.SIGKILL)

            async def is_let_go() -> bool:
                (let_go,) = await one(
                    dsn,
                    "select status <> 'running' from squid_mesh.steps"
                    " where run_id = %s and step = 'work'",
                    run,
                )
                return bool(let_go)

            await eventually(is_let_go)
            async with heir_of(dsn, desk) as heir:
                await asyncio.wait_for(desk.begins(run, 2), WITHIN.total_seconds())
                desk.lines.put_nowait("at last")
                assert (await ended(heir, run)).status == "completed"
