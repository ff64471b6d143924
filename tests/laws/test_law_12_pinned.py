"""A run executes the graph it started with, whatever the process that takes over declares."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Json

from squid_mesh import Mesh, NoPayload, RunStatus, Workflow
from squid_mesh.runtime.cancelling import cancel
from squid_mesh.runtime.facts import NO_FACTS
from squid_mesh.runtime.intake import PutBack
from squid_mesh.runtime.jobs import Job
from squid_mesh.telemetry import Event, RunEnded
from tests.clock import every, one
from tests.conformance import conforms
from tests.laws.journal import Journal
from tests.laws.processes import worker
from tests.laws.versions import After, Before, Moved, extra
from tests.laws.worker import HEARTBEAT, LEASE
from tests.laws.workflows import Chain, Gated, LongSleep
from tests.laws.worlds import STATEMENTS, unsound
from tests.meshes import BOUND, ended, eventually, history, on_host, statuses, step_of

NAME = extra.__module__ + ":extra"


def running(
    dsn: str, journal: Journal, version: type[Workflow[NoPayload]], **options: Any
) -> AbstractAsyncContextManager[Mesh]:
    """A process with one version of the code."""
    quick: dict[str, Any] = {"heartbeat": HEARTBEAT, "lease": LEASE, "resources": [journal]}
    return on_host(dsn, [version], **quick | options)


async def begun(dsn: str, journal: Journal) -> UUID:
    """A run of the first version, in its first step when its process ends."""
    async with running(dsn, journal, Before) as mesh:
        run = await mesh.start_run(Before)
        await journal.has(1, "begin")
    await journal.let_go(run.id)
    return run.id


async def parked(dsn: str, run: UUID) -> list[tuple[object, ...]]:
    query = (
        "select step, status, needs, due_at, attempt from squid_mesh.steps"
        " where run_id = %s and needs is not null"
    )
    return await every(dsn, query, run)


@conforms("S35")
async def test_a_step_that_no_code_fits_is_parked_until_it_does(dsn: str, journal: Journal) -> None:
    run = await begun(dsn, journal)
    async with running(dsn, journal, After) as mesh:

        async def is_parked() -> bool:
            return bool(await parked(dsn, run))

        await eventually(is_parked)
        assert await parked(dsn, run) == [("middle", "pending", NAME, None, 0)]
        waiting = await history(mesh, run)
        assert waiting.status == "running"
        assert waiting.current_steps == ("middle",)
        live = "select 1 from oban_jobs where state in ('available', 'scheduled', 'retryable')"
        assert await every(dsn, live) == []
        new = await mesh.start_run(After)
        await journal.let_go(new.id)
        details = await ended(mesh, new.id)
        assert [step.step for step in details.steps] == ["begin", "end", "more"]
        assert await parked(dsn, run) == [("middle", "pending", NAME, None, 0)]
    assert await unsound(dsn) == []

    async with running(dsn, journal, Before) as mesh:
        details = await ended(mesh, run)
    assert details.status == "completed"
    assert statuses(details) == dict.fromkeys(("begin", "middle", "end"), "completed")
    assert details.context["middle"] == "extra, as it was"
    assert [a.number for a in step_of(details, "middle").attempts] == [1]
    assert await journal.steps_of(run) == ["begin", "begin", "middle", "end"]
    assert await unsound(dsn) == []


async def test_formerly_follows_a_function_that_has_moved(dsn: str, journal: Journal) -> None:
    """The body is the new code's, the graph the old one's."""
    run = await begun(dsn, journal)
    async with running(dsn, journal, Moved) as mesh:
        details = await ended(mesh, run)
    assert details.status == "completed"
    assert details.context["middle"] == "extra, moved"
    assert [step.step for step in details.steps] == ["begin", "middle", "end"]
    assert await parked(dsn, run) == []


async def test_actions_keep_a_function_that_only_old_runs_call(dsn: str, journal: Journal) -> None:
    run = await begun(dsn, journal)
    async with running(dsn, journal, After, actions=[extra]) as mesh:
        details = await ended(mesh, run)
    assert details.status == "completed"
    assert [step.step for step in details.steps] == ["begin", "middle", "end"]
    assert await journal.steps_of(run) == ["begin", "begin", "middle", "end"]


async def test_an_old_process_leaves_a_newer_run_to_a_process_that_has_its_code(
    dsn: str, journal: Journal
) -> None:
    """It does what it can, and puts the rest back, again and again but not in a storm."""
    put_back = (
        "select 1 from squid_mesh.steps"
        " where step = 'middle' and status = 'scheduled' and resume is not null"
    )
    async with (
        worker(dsn, module=After.__module__, handover=0.4) as old,
        running(dsn, journal, Moved, queues={}, name="starter") as declaring,
    ):
        async with await AsyncConnection.connect(dsn) as host:
            run = (await declaring.start_run(Moved, conn=host)).id
            await host.execute("update oban_jobs set worker = 'squid_mesh.squid_mesh'")
        await journal.let_go(run)

        async def was_put_back() -> bool:
            return bool(await every(dsn, put_back))

        await eventually(was_put_back)
        assert await journal.processes() == {old.pid}
        async with running(dsn, journal, Moved) as fitting:
            details = await ended(fitting, run)
    assert details.status == "completed"
    assert details.context["middle"] == "extra, moved"
    assert [state.step for state in details.steps] == ["begin", "middle", "more"]
    assert [len(state.attempts) for state in details.steps] == [1, 1, 1]
    assert await every(dsn, "select 1 from squid_mesh.attempts") == []
    (jobs,) = await one(dsn, "select last_value from oban_jobs_id_seq")
    assert jobs <= 20, "a storm"
    assert await unsound(dsn) == []


@asynccontextmanager
async def unreadable(
    dsn: str, journal: Journal, workflow: type[Workflow[NoPayload]]
) -> AsyncGenerator[UUID]:
    """A run that a process has parked, which goes on, as it can't read its definition."""
    async with running(dsn, journal, workflow, queues={}) as newer:
        run = (await newer.start_run(workflow)).id
    of_the_run = "where version = (select definition from squid_mesh.runs where id = %s)"
    ((spec,),) = await every(dsn, f"select spec from squid_mesh.definitions {of_the_run}", run)  # noqa: S608
    await every(
        dsn,
        f"update squid_mesh.definitions set spec = '{{\"format\": 99}}' {of_the_run}",  # noqa: S608
        run,
    )
    async with worker(dsn, module=After.__module__):
        await eventually(partial(parked, dsn, run))
        await every(
            dsn,
            f"update squid_mesh.definitions set spec = %s::json {of_the_run}",  # noqa: S608
            Json(spec),
            run,
        )
        yield run


async def test_a_run_whose_definition_only_newer_code_can_read_is_left_to_that(
    dsn: str, journal: Journal
) -> None:
    """Nobody holds its step meanwhile."""
    async with unreadable(dsn, journal, Chain) as run, running(dsn, journal, Chain) as newer:
        details = await ended(newer, run)
    assert details.status == "completed"
    assert [len(state.attempts) for state in details.steps] == [1, 1, 1]
    assert await every(dsn, "select 1 from squid_mesh.attempts") == []
    assert await unsound(dsn) == []


async def test_a_wait_that_was_left_to_newer_code_is_waited_for(dsn: str, journal: Journal) -> None:
    """It was claimed by a process that could do nothing with it, and has not begun to wait."""
    asleep = "select 1 from squid_mesh.steps where due_at > now() + interval '29 days'"
    async with unreadable(dsn, journal, LongSleep), running(dsn, journal, LongSleep):
        await eventually(lambda: every(dsn, asleep))
    assert await unsound(dsn) == []


async def test_a_run_that_is_cancelled_while_it_can_t_be_read_ends_and_is_told_of(
    dsn: str, journal: Journal
) -> None:
    """Its step is claimed by then: to put that down is the run's end."""
    async with running(dsn, journal, Chain, queues={}) as newer:
        run = (await newer.start_run(Chain)).id
    told: list[Event] = []
    async with running(dsn, journal, Before, observers=[told.append], queues={}) as old:
        job = Job(run_id=run, step="a", queue="squid_mesh", id=None)

        async def cancelled_and_unreadable(_: str) -> bytes:
            async with await AsyncConnection.connect(dsn) as host:
                await cancel(host, STATEMENTS, run, NO_FACTS)
            return b'{"format": 99}'

        old._catalog._load = cancelled_and_unreadable
        await old._process.driver.drive(job)
    assert await every(dsn, "select status from squid_mesh.runs") == [("cancelled",)]
    assert [(e.run_id, e.status) for e in told if isinstance(e, RunEnded)] == [(run, "cancelled")]
    assert await unsound(dsn) == []


async def test_a_deadline_whose_definition_can_t_be_read_is_put_back(
    dsn: str, journal: Journal
) -> None:
    """Not failed, with Oban's long backoff: another process is to have it soon."""
    async with running(dsn, journal, Gated) as newer:
        run = (await newer.start_run(Gated)).id
        await newer.wait_for_run(run, until=frozenset({RunStatus.PAUSED}), timeout=BOUND)
    await every(
        dsn,
        "update squid_mesh.steps set due_at = now() - interval '1 minute' where run_id = %s"
        " and status = 'paused'",
        run,
    )
    async with running(dsn, journal, Before, queues={}) as old:

        async def unreadable(_: str) -> bytes:
            return b'{"format": 99}'

        old._catalog._load = unreadable
        job = Job(run_id=run, step="gate", queue="squid_mesh", id=None)
        assert isinstance(await old._process.driver.drive(job), PutBack)
    assert await every(dsn, "select status from squid_mesh.runs") == [("paused",)]
