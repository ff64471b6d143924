"""Steps that commit their own writes, their result and what comes next as one."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from squid_mesh import (
    StepError,
)
from tests.clock import every, one
from tests.integration.transactional import (
    KINDS,
    Cancelling,
    Ending,
    HandedOver,
    Joined,
    OnConnection,
    Plain,
    Stage,
    Starting,
    every_kind,
    staged,
)
from tests.meshes import (
    ended,
    eventually,
    history,
    play,
    statuses,
    step_of,
)

# -- one commit


@every_kind
async def test_writes_are_there_with_the_result(stage: Stage, kind: str) -> None:
    run = await stage.plays(KINDS[kind])
    assert run.status == "completed"
    assert run.context == {"pay": "done", "after": "done"}
    assert await stage.effects() == ["written"]
    assert stage.probe.calls == ["done"]


@every_kind
async def test_nobody_sees_them_before_and_nobody_waits(stage: Stage, kind: str) -> None:
    """The run is locked only once its body has returned."""
    stage.holds(kind)
    run = await stage.mesh.start_run(KINDS[kind])
    await stage.has_begun()
    assert await stage.effects() == []
    await every(stage.dsn, "select 1 from squid_mesh.runs where id = %s for update nowait", run.id)
    await every(
        stage.dsn, "select 1 from squid_mesh.steps where run_id = %s for update nowait", run.id
    )
    stage.script.gate.set()
    assert (await ended(stage.mesh, run.id)).status == "completed"
    assert await stage.effects() == ["written"]


async def test_writes_result_and_the_next_step_s_job_are_one_transaction(stage: Stage) -> None:
    run = await stage.mesh.start_run(HandedOver)

    async def is_handed_over() -> bool:
        return statuses(await history(stage.mesh, run.id))["after"] == "pending"

    await eventually(is_handed_over)
    writers = await every(
        stage.dsn,
        "select 'effect', xmin::text from effects union all"
        " select step, xmin::text from squid_mesh.steps union all"
        " select 'run', xmin::text from squid_mesh.runs union all"
        " select queue, xmin::text from oban_jobs where queue = 'nowhere'",
    )
    assert {what for what, _ in writers} == {"effect", "pay", "after", "run", "nowhere"}
    assert len({transaction for _, transaction in writers}) == 1


async def test_writes_and_the_run_s_end_are_one_transaction(stage: Stage) -> None:
    run = await stage.plays(Ending)
    assert run.status == "completed"
    assert await one(
        stage.dsn,
        "select count(distinct x) from (select xmin::text as x from effects"
        " union all select xmin::text from squid_mesh.steps"
        " union all select xmin::text from squid_mesh.runs) writers",
    ) == (1,)


async def test_a_join_is_counted_off_with_the_writes(stage: Stage) -> None:
    run = await stage.plays(Joined)
    assert run.status == "completed"
    assert statuses(run) == {"left": "completed", "right": "completed", "both": "completed"}
    assert await stage.effects() == ["written"] * 3


async def test_a_run_that_is_started_inside_commits_with_its_step(stage: Stage) -> None:
    run = await play(stage.mesh, Starting)
    other = await ended(stage.mesh, UUID(run.output(Starting.start)))
    assert other.status == "completed"
    page = await stage.mesh.list_runs(workflow=Ending)
    assert [listed.id for listed in page.runs] == [other.id], "none of the first attempt"
    assert await stage.effects() == ["written"] * 2


async def test_events_are_those_of_any_step(dsn: str) -> None:
    told: list[str] = []
    async with staged(dsn, observers=[lambda e: told.append(type(e).__name__)]) as stage:
        await stage.plays(Ending)
        told.clear()
        await stage.plays(Ending)
    told.remove("RunCreated")  # its starter may hear of the commit last
    assert told == ["StepStarted", "StepCompleted", "RunEnded"]


# -- no commit


@every_kind
async def test_a_failure_leaves_no_writes_and_goes_by_its_policy(stage: Stage, kind: str) -> None:
    def breaks(_: Any) -> None:
        if stage.script.calls == 1:
            raise StepError("the first time always breaks")

    run = await stage.plays(KINDS[kind], breaks)
    assert run.status == "completed"
    assert [str(a.status) for a in step_of(run, "pay").attempts] == ["failed", "completed"]
    assert await stage.effects() == ["written"]


@every_kind
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_whatever_a_body_raises_rolls_back(
    stage: Stage, kind: str, error: BaseException
) -> None:
    def breaks(_: Any) -> None:
        raise error

    run = await stage.plays(KINDS[kind], breaks)
    assert run.status == "completed"
    assert statuses(run) == {"pay": "failed", "after": "skipped", "rescue": "completed"}
    assert await stage.effects() == []


@every_kind
async def test_an_output_that_cannot_be_stored_leaves_no_writes(stage: Stage, kind: str) -> None:
    run = await stage.plays(KINDS[kind], lambda _: "a\0b")
    error = step_of(run, "pay").error
    assert error is not None
    assert error.code == "invalid_output"
    assert await stage.effects() == []


async def test_a_result_that_the_database_refuses_leaves_no_writes(stage: Stage) -> None:
    await every(stage.dsn, "alter table squid_mesh.steps add check (output::text <> '\"no\"')")
    run = await stage.plays(OnConnection, lambda _: "no")
    error = step_of(run, "pay").error
    assert error is not None
    assert (error.code, error.attempt) == ("invalid_output", 1)
    assert "refused the result" in error.message
    assert await stage.effects() == []


async def test_a_body_whose_claim_was_lost_leaves_no_writes(stage: Stage) -> None:
    """Another process has taken over meanwhile, as this one looked dead."""
    stage.script.act = stage.script.hold_on_loop
    run = await stage.mesh.start_run(OnConnection)
    await stage.has_begun()
    await every(stage.dsn, "update squid_mesh.steps set claim = claim + 1000 where step = 'pay'")
    stage.script.gate.set()
    await stage.plays(Plain)

    async def is_over() -> bool:
        jobs = "select 1 from oban_jobs where args->>'run' = %s and state = 'executing'"
        return not await every(stage.dsn, jobs, str(run.id))

    await eventually(is_over)
    assert await stage.effects() == []
    assert stage.probe.calls == ["rescued"]


async def test_a_run_that_is_cancelled_meanwhile_keeps_its_step_and_goes_nowhere(
    stage: Stage,
) -> None:
    stage.script.act = stage.script.hold_on_loop
    run = await stage.mesh.start_run(OnConnection)
    await stage.has_begun()
    assert (await stage.mesh.cancel_run(run.id)).status == "cancelling"
    stage.script.gate.set()
    details = await ended(stage.mesh, run.id)
    assert details.status == "cancelled"
    assert statuses(details) == {"pay": "completed", "after": "skipped", "rescue": "skipped"}
    assert await stage.effects() == ["written"]
    assert stage.probe.calls == []


async def test_a_body_that_cancels_its_own_run_does_so_with_its_writes(stage: Stage) -> None:
    run = await play(stage.mesh, Cancelling)
    assert run.status == "cancelled"
    assert run.output(Cancelling.cancel) == "cancelling"
    assert await stage.effects() == ["written"]
    assert stage.probe.calls == []
