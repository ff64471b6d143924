"""Pruning: what ended long ago goes with everything of it, and nothing else does."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from squid_mesh import Mesh, NoPayload, Retry, RunStatus, StepError, Workflow, complete, pause, step
from squid_mesh.runtime import pruning
from tests.clock import advance, every, one
from tests.integration.test_gates import paused
from tests.meshes import Workflows, ended, eventually, history, on_host, play

DAY = timedelta(days=1)
OF_RUNS = ("runs", "steps", "attempts", "audit_events")


async def say(text: str) -> str:
    return text


async def refuse() -> None:
    raise StepError("no", retryable=False)


class Said(Workflow[NoPayload]):
    said = step(say).takes("yes")
    flow = said >> complete


class Refused(Workflow[NoPayload]):
    refused = step(refuse, retry=Retry(2)).takes()
    flow = refused >> complete


class Halt(Workflow[NoPayload]):
    hold = pause()
    flow = hold >> complete


WORKFLOWS: Workflows = [Said, Refused, Halt]


@pytest.fixture
async def mesh(dsn: str) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS) as mesh:
        yield mesh


async def rows(dsn: str) -> dict[str, int]:
    counts = [await one(dsn, f"select count(*) from squid_mesh.{t}") for t in OF_RUNS]  # noqa: S608
    return dict(zip(OF_RUNS, [count for (count,) in counts], strict=True))


async def test_what_ended_long_ago_goes_with_its_history(mesh: Mesh, dsn: str) -> None:
    for workflow in (Said, Refused):
        await play(mesh, workflow)
    cancelled = await paused(mesh, Halt)
    await mesh.cancel_run(cancelled.id)
    await advance(dsn, DAY)
    recent = await play(mesh, Said)
    old_but_alive = await paused(mesh, Halt)
    await every(dsn, "update squid_mesh.runs set inserted_at = inserted_at - interval '9 days'")

    assert (await mesh.prune(older_than=2 * DAY)).runs == 0
    assert (await mesh.prune(older_than=DAY / 2)).runs == 3
    assert (await rows(dsn)) == {"runs": 2, "steps": 2, "attempts": 0, "audit_events": 1}
    assert (await history(mesh, recent.id)).status == "completed"
    assert (await mesh.inspect_run(old_but_alive.id)).status == "paused"


async def test_statuses_say_which(mesh: Mesh, dsn: str) -> None:
    for workflow in (Said, Refused):
        await play(mesh, workflow)
    await advance(dsn, DAY)
    assert (await mesh.prune(older_than=DAY / 2, statuses={RunStatus.COMPLETED})).runs == 1
    (run,) = (await mesh.list_runs()).runs
    assert run.status == "failed"


async def test_in_batches_and_to_the_end(
    mesh: Mesh, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "BATCH", 3)
    runs = await mesh.start_runs(Said, [{}] * 10)
    for run in runs:
        await ended(mesh, run.id)
    halted = await paused(mesh, Halt)
    await advance(dsn, DAY)
    async with await AsyncConnection.connect(dsn) as host, host.transaction():
        await host.execute("select from squid_mesh.runs where id = %s for update", (runs[4].id,))
        assert (await mesh.prune(older_than=DAY / 2)).runs == 9
    assert (await mesh.prune(older_than=DAY / 2)).runs == 1
    assert [run.id for run in (await mesh.list_runs()).runs] == [halted.id]


async def test_a_replay_outlives_its_source_and_a_key_is_free_again(mesh: Mesh, dsn: str) -> None:
    source = await mesh.start_run(Said, key="once")
    await ended(mesh, source.id)
    await advance(dsn, DAY)
    replay = await mesh.replay_run(source.id)
    await ended(mesh, replay.id)
    assert (await mesh.prune(older_than=DAY / 2)).runs == 1
    assert (await mesh.inspect_run(replay.id)).replayed_from is None
    assert (await mesh.start_run(Said, key="once")).created


async def test_finished_jobs_of_this_mesh_go_too(mesh: Mesh, dsn: str) -> None:
    insert = (
        "insert into oban_jobs (state, queue, worker, args, completed_at, cancelled_at)"
        " values (%s, 'nowhere', %s, '{}', timezone('UTC', now()) - interval '2 days',"
        " timezone('UTC', now()) - interval '2 days')"
    )
    ours = mesh._settings.queueing.worker
    for state, worker in (
        ("completed", ours),
        ("cancelled", ours),
        ("available", ours),
        ("completed", "somebody.Else"),
    ):
        await every(dsn, insert, state, worker)
    assert (await mesh.prune(older_than=3 * DAY)).jobs == 0
    assert (await mesh.prune(older_than=DAY)).jobs == 2
    left = await every(dsn, "select state::text, worker from oban_jobs order by 1")
    assert left == [("available", ours), ("completed", "somebody.Else")]


async def test_with_a_retention_it_happens_by_itself(dsn: str) -> None:
    async with on_host(dsn, WORKFLOWS) as mesh:
        await play(mesh, Said)
    await advance(dsn, DAY)
    async with on_host(dsn, WORKFLOWS, retention=DAY / 2):

        async def is_gone() -> bool:
            return await every(dsn, "select 1 from squid_mesh.runs") == []

        await eventually(is_gone)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"older_than": timedelta()}, "older_than"),
        ({"older_than": -DAY}, "older_than"),
        ({"older_than": DAY, "statuses": {RunStatus.PAUSED, RunStatus.FAILED}}, "paused"),
        ({"older_than": DAY, "statuses": {"finished"}}, "finished"),
    ],
)
async def test_what_is_wrong_deletes_nothing(
    mesh: Mesh, dsn: str, wrong: dict[str, Any], says: str
) -> None:
    await play(mesh, Said)
    with pytest.raises(ValueError, match=says):
        await mesh.prune(**wrong)
    assert (await rows(dsn))["runs"] == 1
