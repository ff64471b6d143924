"""Progress is atomic: attempt, step, run, what comes next and audit commit together or not at all.

So every live run has a live step row, and whatever a process got to before it died at any boundary
between two durable writes, another goes on from exactly there.
"""

from collections import Counter
from typing import Any

import pytest

from squid_mesh import Mesh, RunDetails, Workflow
from tests.clock import every
from tests.conformance import conforms
from tests.laws.journal import Journal
from tests.laws.processes import spawn
from tests.laws.worker import HEARTBEAT, LEASE, OVERDUE
from tests.laws.workflows import BODIES, ENDS, WORKFLOWS, Branching, Doomed, Joining
from tests.laws.worlds import all_ended, tables, unsound
from tests.meshes import QUEUE, eventually, history, on_host

AT_LEAST = {"Branching": 12, "Joining": 12, "Doomed": 6}
"""Boundaries that such a run has: before and after its start, each first claim, each result."""


@conforms("S70", "S71", "S78", "S206")
@pytest.mark.parametrize("workflow", [Branching, Joining, Doomed])
async def test_a_run_goes_on_from_wherever_its_process_died(
    dsn: str,
    journal: Journal,
    workflow: type[Workflow[Any]],
) -> None:
    boundaries = await crash_everywhere(dsn, workflow)
    assert boundaries >= AT_LEAST[workflow.__name__]
    assert await unsound(dsn) == []
    finished = await finished_steps(dsn)
    bodies = await journal.bodies()

    async with on_host(
        dsn, WORKFLOWS, resources=[journal], heartbeat=HEARTBEAT, lease=LEASE, overdue=OVERDUE
    ) as heir:

        async def is_over() -> bool:
            return await all_ended(dsn)

        await eventually(is_over)
        runs = (await heir.list_runs(limit=1000)).runs
        assert len(runs) == boundaries  # of the first process nothing is left but its death
        for run in runs:
            await check(heir, journal, await history(heir, run.id))
    assert await unsound(dsn) == []
    assert finished <= await finished_steps(dsn)
    assert bodies <= await journal.bodies()
    assert await journal.unclaimed() == []


async def crash_everywhere(dsn: str, workflow: type[Workflow[Any]]) -> int:
    process = await spawn("tests.laws.crashing", dsn, workflow.__name__)
    told, _ = await process.communicate()
    assert process.returncode == 0
    await every(dsn, "update oban_jobs set queue = %s", QUEUE)  # each had one to itself
    return int(told)


async def finished_steps(dsn: str) -> set[str]:
    """The rows of steps that have completed, and of attempts that ended otherwise, to the byte."""
    completed = "select s::text from squid_mesh.steps s where status = 'completed'"
    steps = {row for (row,) in await every(dsn, completed)}
    return steps | set((await tables(dsn))["attempts"])


async def check(mesh: Mesh, journal: Journal, run: RunDetails) -> None:
    """A run's history is the defined one; a body was repeated only where it was interrupted."""
    assert run.status == ENDS[run.workflow]
    defined = BODIES[run.workflow]
    begun = Counter(await journal.steps_of(run.id))
    for state in run.steps:
        numbers = [attempt.number for attempt in state.attempts]
        assert numbers == list(range(1, len(numbers) + 1))
        interrupted = sum(attempt.status == "interrupted" for attempt in state.attempts)
        assert interrupted <= 1, state
        most = defined.get(state.step, 0) + interrupted
        assert begun[state.step] <= most, (state, begun)
        if state.status == "completed":
            assert begun[state.step] >= 1
            assert [str(a.status) for a in state.attempts].count("completed") == 1
    if run.workflow != "Doomed":  # whose failure may come before its other step begins
        assert {s.step for s in run.steps if s.status == "completed"} == set(defined)
