"""What readers see: runs, their history, waits for them, and lists."""

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, SecretStr

from squid_mesh import (
    ENDED,
    SETTLED,
    InvalidRunId,
    Mesh,
    NoPayload,
    Payload,
    Run,
    RunDetails,
    RunNotFound,
    RunStatus,
    StepError,
    WaitTimeout,
    Workflow,
    approval,
    complete,
    manual,
    pause,
    resource,
    step,
)
from tests.conformance import conforms
from tests.meshes import BOUND, Probe, Workflows, ended, history, on_host, play, statuses, step_of

SOON = timedelta(seconds=0.05)


@dataclass
class Digest:
    title: str
    words: int


class Credentials(BaseModel):
    user: str
    password: SecretStr


class Account(Payload):
    user: str
    token: SecretStr
    credentials: Credentials


async def write(user: str) -> Digest:
    return Digest(user, 7)


async def hold(probe: Probe) -> int:
    await probe.hold("held")
    return 7


async def issue(token: SecretStr) -> SecretStr:
    return token


async def leak(token: SecretStr) -> str:
    raise StepError("no", details={"token": token})


async def branch(probe: Probe) -> bool:
    await probe.hold("branch")
    return True


async def fine() -> str:
    return "fine"


async def number(value: int) -> int:
    return value


class Numbered(Payload):
    value: int


class Described(Workflow[Account]):
    write = step(write, output="digest").takes(Account.user)
    issue = step(issue).takes(Account.token)


class Leaking(Workflow[Account]):
    leak = step(leak).takes(Account.token)


class Branching(Workflow[NoPayload]):
    ask = step(branch).takes(resource(Probe))
    yes = step(fine).takes()
    no = step(fine).takes()
    flow = (
        ask.when(True) >> yes >> complete,  # noqa: FBT003  # the output's value
        ask.when(False) >> no >> complete,  # noqa: FBT003
    )


class Held(Workflow[NoPayload]):
    by_hand = manual()
    by_night = manual()
    work = step(hold).takes(resource(Probe))
    after = step(number).takes(work.output)


class Paused(Workflow[NoPayload]):
    stop = pause()
    after = step(fine, after=[stop]).takes()


class Reviewed(Workflow[NoPayload]):
    review = approval()
    yes = step(fine).takes()
    flow = (review.on_approved >> yes >> complete, review.on_rejected >> complete)


class Quick(Workflow[Numbered]):
    by_hand = manual()
    by_night = manual()
    work = step(number).takes(Numbered.value)


WORKFLOWS: Workflows = [Described, Leaking, Branching, Held, Paused, Reviewed, Quick]
ACCOUNT = Account(
    user="ada",
    token=SecretStr("sesame"),
    credentials=Credentials(user="ada", password=SecretStr("sesame")),
)


@pytest.fixture
async def mesh(dsn: str, probe: Probe) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as mesh:
        yield mesh


# -- one run


@conforms("S151")
async def test_a_run_is_read_with_and_without_its_history(mesh: Mesh) -> None:
    run = await play(mesh, Described, ACCOUNT)
    short = await mesh.inspect_run(run.id)

    assert type(short) is Run
    assert type(run) is RunDetails
    for name in ("id", "status", "payload", "definition", "ended_at", "updated_at"):
        assert getattr(short, name) == getattr(run, name)
    assert await mesh.inspect_run(str(run.id)) == short


@conforms("S88", "S91")
async def test_an_output_is_typed(mesh: Mesh) -> None:
    run = await play(mesh, Described, ACCOUNT)
    assert run.output(Described.write) == Digest("ada", 7)
    assert run.context["digest"] == {"title": "ada", "words": 7}


async def test_there_is_no_output_before_a_step_has_completed(mesh: Mesh, probe: Probe) -> None:
    run = await mesh.start_run(Held)
    await probe.begun.wait()
    with pytest.raises(LookupError, match=r"step 'work' of run .* is running: it has no output"):
        (await history(mesh, run.id)).output(Held.work)
    with pytest.raises(LookupError, match="Held has no step 'write'"):
        (await history(mesh, run.id)).output(Described.write)
    probe.gate.set()


@conforms("S160")
@pytest.mark.parametrize("wrong", ["", "7", "not-a-run", 7, None, b"x"], ids=repr)
async def test_a_malformed_id_is_refused(mesh: Mesh, wrong: Any) -> None:
    for call in (mesh.inspect_run(wrong), mesh.wait_for_run(wrong, timeout=SOON)):
        with pytest.raises(InvalidRunId) as caught:
            await call
        assert isinstance(caught.value, ValueError)
        assert caught.value.value == wrong


@conforms("S160")
async def test_an_unknown_id_is_not_found(mesh: Mesh) -> None:
    unknown = uuid4()
    for call in (
        mesh.inspect_run(unknown),
        mesh.inspect_run(unknown, include_history=True),
        mesh.wait_for_run(unknown, timeout=SOON),
    ):
        with pytest.raises(RunNotFound, match=str(unknown)) as caught:
            await call
        assert caught.value.run_id == unknown


@conforms("S63", "S152", "S153")
async def test_a_step_without_a_row_waits_while_the_run_lives_and_is_skipped_after(
    mesh: Mesh, probe: Probe
) -> None:
    run = await mesh.start_run(Branching)
    await probe.begun.wait()
    assert statuses(await history(mesh, run.id)) == {
        "ask": "running",
        "yes": "waiting",
        "no": "waiting",
    }
    probe.gate.set()
    details = await ended(mesh, run.id)
    assert statuses(details) == {"ask": "completed", "yes": "completed", "no": "skipped"}
    assert [state.step for state in details.step_runs] == ["ask", "yes"]


@conforms("S152")
async def test_a_running_step_names_its_worker_and_its_attempt(mesh: Mesh, probe: Probe) -> None:
    run = await mesh.start_run(Held)
    await probe.begun.wait()
    details = await history(mesh, run.id)
    state = step_of(details, "work")
    assert state.worker is not None
    assert state.worker.endswith(f"({os.getpid()})")
    assert [(a.number, str(a.status), a.finished_at) for a in state.attempts] == [
        (1, "running", None)
    ]
    assert state.started_at is not None
    assert statuses(details)["after"] == "waiting"
    assert [s.step for s in details.step_runs] == ["work"]
    probe.gate.set()


async def test_a_run_shows_no_secret_anywhere(mesh: Mesh, dsn: str) -> None:
    started = await mesh.start_run(Described, ACCOUNT)
    details = await ended(mesh, started.id)

    hidden = {"user": "ada", "token": "**********", "credentials": "**********"}
    again = await mesh.start_run(Described, ACCOUNT, key="k")
    known = await mesh.start_run(Described, ACCOUNT, key="k")
    for run in (started, details, again, known, await mesh.inspect_run(started.id)):
        assert run.payload == hidden
    assert details.output(Described.issue).get_secret_value() == "sesame"
    for shown in (details.context, details.steps, details.step_runs, details):
        assert "sesame" not in repr(shown)
    assert "sesame" not in str(details.context)
    assert "sesame" not in str([state.output for state in details.steps])


async def test_an_error_s_details_show_no_secret(mesh: Mesh) -> None:
    run = await play(mesh, Leaking, ACCOUNT)
    assert run.error is not None
    assert run.error.details == {"token": "**********"}


@conforms("S158")
async def test_a_run_outlives_the_code_of_its_workflow(mesh: Mesh, dsn: str) -> None:
    run = await play(mesh, Quick, Numbered(value=7))
    async with on_host(dsn, [], name="reader", queues={}) as reader:
        details = await history(reader, run.id)
        page = await reader.list_runs()
    assert statuses(details) == {"work": "completed"}
    assert details.context == {"work": 7}
    assert details.output(Quick.work) == 7
    assert [listed.id for listed in page.runs] == [run.id]


# -- waiting for a run


async def test_a_wait_times_out_with_the_run_as_it_is(mesh: Mesh, probe: Probe) -> None:
    run = await mesh.start_run(Held)
    await probe.begun.wait()
    with pytest.raises(WaitTimeout, match=r"still running after 0\.05 s") as caught:
        await mesh.wait_for_run(run.id, timeout=SOON)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.run.id == run.id
    assert caught.value.run.status == "running"
    assert caught.value.run.current_steps == ("work",)
    probe.gate.set()


@pytest.mark.parametrize("workflow", [Paused, Reviewed])
async def test_a_paused_run_is_settled_but_has_not_ended(
    mesh: Mesh, workflow: type[Workflow[NoPayload]]
) -> None:
    run = await mesh.start_run(workflow)
    settled = await mesh.wait_for_run(run.id, until=SETTLED, timeout=BOUND)
    assert settled.status == "paused"
    assert settled.current_steps == (next(iter(statuses(await history(mesh, run.id)))),)
    with pytest.raises(WaitTimeout):
        await mesh.wait_for_run(run.id, until=ENDED, timeout=SOON)


async def test_any_status_can_be_waited_for(mesh: Mesh, probe: Probe) -> None:
    run = await mesh.start_run(Held)
    running = await mesh.wait_for_run(run.id, until={RunStatus.RUNNING}, timeout=BOUND)
    assert running.status == "running"
    probe.gate.set()


async def test_a_run_that_ends_in_another_process_is_seen(dsn: str, probe: Probe) -> None:
    waiting = on_host(dsn, WORKFLOWS, name="waiting", queues={}, queue="none")
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as driving, waiting as mesh:
        run = await driving.start_run(Held)
        await probe.begun.wait()
        async with asyncio.TaskGroup() as tasks:
            many = [tasks.create_task(mesh.wait_for_run(run.id, timeout=BOUND)) for _ in range(5)]
            probe.gate.set()
    assert {task.result().status for task in many} == {RunStatus.COMPLETED}


async def test_a_wait_that_is_cancelled_leaves_nothing_behind(mesh: Mesh, probe: Probe) -> None:
    run = await mesh.start_run(Held)
    await probe.begun.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await mesh.wait_for_run(run.id, timeout=BOUND)
    probe.gate.set()
    assert (await mesh.wait_for_run(run.id, timeout=BOUND)).status == "completed"


# -- lists


async def pages(mesh: Mesh, limit: int, **filters: Any) -> list[list[UUID]]:
    """Every page, to the last."""
    found: list[list[UUID]] = []
    cursor: str | None = None
    while True:
        page = await mesh.list_runs(limit=limit, cursor=cursor, **filters)
        found.append([run.id for run in page.runs])
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


@conforms("S150")
async def test_runs_are_listed_newest_first_without_payloads(mesh: Mesh) -> None:
    runs = [await play(mesh, Quick, Numbered(value=n)) for n in range(5)]
    page = await mesh.list_runs()

    assert [run.id for run in page.runs] == [run.id for run in reversed(runs)]
    assert page.next_cursor is None
    assert all(run.payload is None for run in page.runs)
    assert {run.status for run in page.runs} == {RunStatus.COMPLETED}


@conforms("S150")
@pytest.mark.parametrize("limit", [1, 3, 4, 12, 13])
async def test_pages_have_no_gaps_and_no_repeats(mesh: Mesh, limit: int) -> None:
    """Also among runs that were started at the same moment, and while new ones are started."""
    starts = [mesh.start_run(Quick, Numbered(value=n)) for n in range(12)]
    runs = {run.id for run in await asyncio.gather(*starts)}

    first = await mesh.list_runs(limit=limit)
    newer = await mesh.start_run(Quick, Numbered(value=99))
    found = [run.id for run in first.runs]
    cursor = first.next_cursor
    while cursor is not None:
        page = await mesh.list_runs(limit=limit, cursor=cursor)
        assert 0 < len(page.runs) <= limit
        found += [run.id for run in page.runs]
        cursor = page.next_cursor
    assert len(found) == 12
    assert set(found) == runs
    assert newer.id not in found


async def test_an_empty_list_has_no_next_page(mesh: Mesh) -> None:
    page = await mesh.list_runs()
    assert (page.runs, page.next_cursor) == ((), None)


@conforms("S150")
async def test_filters_narrow_a_list(mesh: Mesh, probe: Probe) -> None:
    quick = [await play(mesh, Quick, Numbered(value=n)) for n in range(3)]
    night = await mesh.start_run(Quick, Numbered(value=9), trigger="by_night")
    await ended(mesh, night.id)
    held = await mesh.start_run(Held)
    await probe.begun.wait()

    async def ids(**filters: Any) -> list[UUID]:
        (page,) = await pages(mesh, 50, **filters)
        return page

    newest_first = [night.id, *(run.id for run in reversed(quick))]
    assert await ids(workflow=Quick) == await ids(workflow="Quick") == newest_first
    assert await ids(workflow="Unheard") == []
    assert await ids(trigger="by_night") == [night.id]
    assert await ids(status=RunStatus.RUNNING) == [held.id]
    assert await ids(status=ENDED) == newest_first
    assert await ids(status=()) == []
    assert await ids(workflow=Quick, trigger="by_hand", status={RunStatus.COMPLETED}) == [
        run.id for run in reversed(quick)
    ]
    assert await pages(mesh, 2, workflow=Quick) == [newest_first[:2], newest_first[2:]]
    probe.gate.set()


async def test_a_status_may_be_plain_text(mesh: Mesh) -> None:
    """As it comes from a query string or a command line."""
    run = await play(mesh, Quick, Numbered(value=7))
    page = await mesh.list_runs(status="completed")  # type: ignore[arg-type]  # checkers refuse it
    assert [listed.id for listed in page.runs] == [run.id]


@conforms("S150")
@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_page_has_a_size(mesh: Mesh, limit: int) -> None:
    with pytest.raises(ValueError, match="ask for 1 to 1000"):
        await mesh.list_runs(limit=limit)


@pytest.mark.parametrize(
    "cursor", ["", "x", "!", "e30=", "W10=", "WzEsMl0=", "WyIyMDI2LTAxLTAxIiw1XQ==", "Ü"]
)
async def test_a_cursor_that_no_page_gave_is_refused(mesh: Mesh, cursor: str) -> None:
    with pytest.raises(ValueError, match="pass next_cursor of a page"):
        await mesh.list_runs(cursor=cursor)
