"""A lost answer to a commit loses nothing.

What was applied is found applied, and a claim that nobody works on is released within a heartbeat.
A proxy between a real process and Postgres forwards a statement and drops the connection instead
of its answer; with `before` the statement itself is lost.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from squid_mesh import RunDetails, Workflow
from tests.clock import every
from tests.laws.journal import Journal
from tests.laws.processes import Process, worker
from tests.laws.proxy import Proxy, proxied
from tests.laws.worker import HEARTBEAT
from tests.laws.workflows import (
    BODIES,
    ENDS,
    WORKFLOWS,
    Branching,
    Chain,
    Doomed,
    Fan,
    HeldBeside,
    Joining,
    Rescued,
    Sleeping,
    TwoQueues,
)
from tests.laws.worlds import all_ended, unsound
from tests.meshes import eventually, history, on_host

LEASE = 60.0
"""Seconds: nothing here waits until the process looks dead. It releases what is its own."""

lost_before_or_after = pytest.mark.parametrize("before", [False, True], ids=["answer", "request"])


@dataclass
class Line:
    """A process at the other end of a proxy, and what it does."""

    dsn: str
    journal: Journal
    proxy: Proxy
    process: Process

    async def plays(self, workflow: type[Workflow[Any]], lost: str, *, before: bool) -> RunDetails:
        """Have it do a run of which one statement, or its answer, is lost."""
        self.proxy.lose(lost, before=before)
        run = await self.process.starts(workflow)
        await self.proxy.has_lost(lost)
        return await self.ends(run)

    async def ends(self, run: UUID) -> RunDetails:
        async def is_over() -> bool:
            return await all_ended(self.dsn)

        await eventually(is_over)
        assert await unsound(self.dsn) == []
        assert await self.journal.unclaimed() == []
        assert set((await self.journal.bodies()).values()) == {1}
        async with on_host(self.dsn, WORKFLOWS, queues={}) as mesh:
            return await history(mesh, run)


@pytest.fixture
async def line(dsn: str, journal: Journal) -> AsyncGenerator[Line]:
    async with line_to(dsn, journal) as line:
        yield line


@asynccontextmanager
async def line_to(dsn: str, journal: Journal) -> AsyncGenerator[Line]:
    async with (
        proxied(dsn) as (proxy, through),
        worker(through, journal=dsn, lease=LEASE) as process,
    ):
        yield Line(dsn, journal, proxy, process)


def interruptions(run: RunDetails) -> list[str]:
    return [event.step or "" for event in run.audit_events if event.type == "interrupted"]


@lost_before_or_after
async def test_of_a_start(line: Line, before: bool) -> None:  # noqa: FBT001 (parametrized)
    """The caller has his run, and there is one."""
    run = await line.plays(Chain, "start_runs", before=before)
    assert run.status == "completed"
    assert await every(line.dsn, "select count(*) from squid_mesh.runs") == [(1,)]
    assert await line.journal.steps_of(run.id) == ["a", "b", "c"]


async def test_of_a_claim(line: Line) -> None:
    """Nobody works on it: it is released within a heartbeat, and the body runs once."""
    line.proxy.lose("claim_steps")
    run_id = await line.process.starts(Chain)
    await line.proxy.has_lost("claim_steps")
    began = time.monotonic()
    await line.journal.has(1)
    assert time.monotonic() - began < 10 * HEARTBEAT.total_seconds(), "far from the lease"
    run = await line.ends(run_id)
    assert run.status == "completed"
    assert interruptions(run) == ["a"]
    assert await line.journal.bodies() == {
        (run_id, "a", 2): 1,
        (run_id, "b", 1): 1,
        (run_id, "c", 1): 1,
    }


async def test_of_a_claim_that_was_never_made(line: Line) -> None:
    run = await line.plays(Chain, "claim_steps", before=True)
    assert run.status == "completed"
    assert interruptions(run) == []


@pytest.mark.parametrize(
    ("workflow", "statement", "before"),
    [
        (Chain, "advance_chain", False),
        (Chain, "advance_chain", True),
        (Branching, "advance_steps", False),
        (TwoQueues, "advance_steps", False),
        (Rescued, "advance_steps", False),
        (Sleeping, "advance_steps", False),
        (Joining, "advance_steps", False),
        (Joining, "advance_steps", True),
        (Fan, "load_outputs", False),
        (Doomed, "fail_run", True),
        (Doomed, "commit of fail_run", True),
        (Doomed, "commit of fail_run", False),
    ],
)
async def test_of_progress(
    line: Line,
    workflow: type[Workflow[Any]],
    statement: str,
    before: bool,  # noqa: FBT001 (parametrized)
) -> None:
    """A body whose result was on its way isn't run again."""
    run = await line.plays(workflow, statement, before=before)
    assert run.status == ENDS[workflow.__name__]
    bodies = await line.journal.steps_of(run.id)
    for step in run.steps:
        most = BODIES[workflow.__name__].get(step.step, 0)
        assert bodies.count(step.step) <= most, (step.step, bodies)
    # A claim that came with it may have been nobody's.
    assert set(interruptions(run)) <= {"both", "end"}


async def test_of_a_join_while_a_sibling_is_under_way(line: Line) -> None:
    """The run is being driven, but not that step of it."""
    line.proxy.lose("advance_steps")
    run_id = await line.process.starts(HeldBeside)
    await line.proxy.has_lost("advance_steps")
    try:
        await line.journal.has(1, "follows")
    finally:
        await line.journal.let_go(run_id)
    assert (await line.ends(run_id)).status == "completed"


async def test_again_and_again_under_load(line: Line) -> None:
    """Committers lose answer after answer while a hundred runs go on."""
    async with on_host(line.dsn, WORKFLOWS, queues={}) as mesh:
        for workflow in (Chain, Branching, Joining, Fan):
            await mesh.start_runs(workflow, [{}] * 25)
    for statement in ("advance_chain", "advance_steps", "claim_steps") * 3:
        line.proxy.lose(statement)
        await eventually(partial(lost_or_over, line, statement))
    await eventually(lambda: all_ended(line.dsn))
    assert await unsound(line.dsn) == []
    assert await line.journal.unclaimed() == []
    assert set((await line.journal.bodies()).values()) == {1}
    ends = await every(line.dsn, "select distinct status from squid_mesh.runs")
    assert ends == [("completed",)]


async def lost_or_over(line: Line, statement: str) -> bool:
    return line.proxy.is_lost(statement) or await all_ended(line.dsn)


async def test_of_a_release_itself(line: Line) -> None:
    """Recovery's own statements are as durable: what it lost it finds again."""
    line.proxy.lose("claim_steps")
    line.proxy.lose("retry_interrupted")
    run_id = await line.process.starts(Chain)
    await line.proxy.has_lost("retry_interrupted")
    assert (await line.ends(run_id)).status == "completed"


async def test_of_a_heartbeat(line: Line) -> None:
    """The next one comes on another connection."""
    line.proxy.lose("heartbeat")
    await line.proxy.has_lost("heartbeat")
    seen = await every(line.dsn, "select alive_at from squid_mesh.workers")

    async def beats() -> bool:
        return await every(line.dsn, "select alive_at from squid_mesh.workers") != seen

    await eventually(beats)
