"""A lost answer to a transactional step's commit loses nothing, and nothing of it is done twice.

Whether the commit was applied is what the database says of that very transaction: a body runs again
only if nothing of it is there.
"""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import pytest

from squid_mesh import RunDetails, Workflow
from tests.clock import every
from tests.laws.journal import Journal
from tests.laws.processes import worker
from tests.laws.proxy import proxied
from tests.laws.test_law_14_lost_answers import LEASE, Line, interruptions
from tests.laws.transactional import (
    EFFECTS,
    WORKFLOWS,
    PayInSession,
    PayInSyncSession,
    PayOnConnection,
    PayOnSyncConnection,
    PayOtherwise,
    PayTogether,
    effects,
    install,
    torn,
)
from tests.laws.workflows import Chain
from tests.laws.worlds import all_ended, unsound
from tests.meshes import eventually, history, on_host, step_of

COMMIT = "commit of advance_chain"
COMMIT_OF_MANY = "commit of advance_steps"

KINDS = [PayOnConnection, PayOnSyncConnection, PayInSession, PayInSyncSession]


@pytest.fixture
async def line(dsn: str, journal: Journal) -> AsyncGenerator[Line]:
    await install(dsn)
    async with (
        proxied(dsn) as (proxy, through),
        worker(through, journal=dsn, lease=LEASE, module="tests.laws.transactional") as process,
    ):
        yield Line(dsn, journal, proxy, process)


async def whole(line: Line, workflow: type[Workflow[Any]], run_id: UUID) -> RunDetails:
    """The run once it has ended, with each of its effects once."""

    async def is_over() -> bool:
        return await all_ended(line.dsn)

    await eventually(is_over)
    assert await torn(line.dsn) == []
    assert await unsound(line.dsn) == []
    name = workflow.__name__
    assert await effects(line.dsn) == [(name, step) for step in sorted(EFFECTS[name])]
    async with on_host(line.dsn, WORKFLOWS, queues={}) as mesh:
        run = await history(mesh, run_id)
    assert run.status == "completed"
    return run


def attempts(run: RunDetails, step: str = "pay") -> list[str]:
    return [str(attempt.status) for attempt in step_of(run, step).attempts]


@pytest.mark.parametrize("workflow", KINDS)
async def test_a_commit_that_was_applied_is_found_applied(
    line: Line, workflow: type[Workflow[Any]]
) -> None:
    """And the step that it claimed goes on in the same process, without a try too many."""
    line.proxy.lose(COMMIT)
    run_id = await line.process.starts(workflow)
    await line.proxy.has_lost(COMMIT)
    run = await whole(line, workflow, run_id)
    assert attempts(run) == ["completed"]
    assert attempts(run, "after") == ["completed"]
    assert interruptions(run) == []


@pytest.mark.parametrize("workflow", KINDS)
async def test_a_commit_that_never_came_is_found_missing(
    line: Line, workflow: type[Workflow[Any]]
) -> None:
    line.proxy.lose(COMMIT, before=True)
    run_id = await line.process.starts(workflow)
    await line.proxy.has_lost(COMMIT)
    run = await whole(line, workflow, run_id)
    assert attempts(run) == ["interrupted", "completed"]
    assert attempts(run, "after") == ["completed"]


async def test_a_commit_whose_server_does_not_know_that_its_client_is_gone(line: Line) -> None:
    """The transaction holds the run's lock until somebody ends it."""
    line.proxy.lose(COMMIT, before=True, leaves_open=True)
    run_id = await line.process.starts(PayOnConnection)
    await line.proxy.has_lost(COMMIT)
    run = await whole(line, PayOnConnection, run_id)
    assert attempts(run) == ["interrupted", "completed"]


@pytest.mark.parametrize(
    ("workflow", "statement", "before"),
    [
        (PayOnConnection, "enter_transaction", False),
        (PayOnConnection, "enter_transaction", True),
        (PayOnConnection, "advance_chain", False),
        (PayOnSyncConnection, "advance_chain", True),
        (PayInSession, "advance_chain", False),
        (PayInSyncSession, "advance_chain", True),
        (PayTogether, "advance_steps", False),
        (PayTogether, COMMIT_OF_MANY, False),
        (PayTogether, COMMIT_OF_MANY, True),
        (PayOtherwise, "advance_steps", False),
        (PayOtherwise, COMMIT, False),
    ],
)
async def test_whatever_else_is_lost(
    line: Line,
    workflow: type[Workflow[Any]],
    statement: str,
    before: bool,  # noqa: FBT001 (parametrized)
) -> None:
    line.proxy.lose(statement, before=before)
    run_id = await line.process.starts(workflow)
    await line.proxy.has_lost(statement)
    run = await whole(line, workflow, run_id)
    for step in EFFECTS[workflow.__name__]:
        assert attempts(run, step).count("completed") == 1


async def test_the_question_what_became_of_it_is_asked_again(line: Line) -> None:
    line.proxy.lose(COMMIT)
    line.proxy.lose("find_transaction")
    run_id = await line.process.starts(PayOnConnection)
    await line.proxy.has_lost("find_transaction")
    run = await whole(line, PayOnConnection, run_id)
    assert attempts(run) == ["completed"]


async def test_a_run_without_transactional_steps_executes_nothing_more(
    dsn: str, journal: Journal
) -> None:
    """One statement to start it, one to claim, one for each step: no transaction of its own."""
    async with (
        proxied(dsn) as (proxy, through),
        worker(through, journal=dsn, lease=LEASE, heartbeat=10) as process,
    ):
        proxy.seen.clear()
        await process.starts(Chain)

        async def is_over() -> bool:
            return await all_ended(dsn)

        await eventually(is_over)
        ours = {"start_runs", "claim_steps", "advance_chain", "advance_steps", "enter_transaction"}
        seen = {name: count for name, count in proxy.seen.items() if name in ours}
    assert seen == {"start_runs": 1, "claim_steps": 1, "advance_chain": 3}
    assert len(await every(dsn, "select 1 from squid_mesh.steps")) == 3
