"""What readers see: runs, their history, waits for them, and lists."""

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, SecretStr

from squid_mesh import (
    ENDED,
    SETTLED,
    InvalidFilter,
    InvalidRunId,
    Mesh,
    NoPayload,
    Payload,
    Recovery,
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
    optional,
    pause,
    resource,
    step,
)
from squid_mesh.runtime.waiting import READ_SECONDS, Waiters
from tests.clock import every
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


class Plan(Payload):
    days: int
    word: str


async def describe(words: list[str], by_name: dict[str, int]) -> str:
    return f"{words} {by_name}"


async def tell(who: Any, missing: str | None) -> str:
    return f"{who} {missing}"


async def no(value: int) -> str:
    raise StepError("no")


async def rescue(message: str, value: int) -> str:
    return f"{message} {value}"


class Wired(Workflow[Plan]):
    describe = step(describe).takes(words=[Plan.word, "constant"], by_name={"days": Plan.days})
    review = approval(deadline=timedelta(days=3))
    never = step(fine).takes()
    tell = step(tell).takes(who=optional(review.output.actor), missing=optional(never.output))
    flow = (
        describe >> review,
        review.on_approved >> tell >> complete,
        review.on_rejected >> complete,
        review.on_timeout >> never >> tell,
    )


class Routed(Workflow[Numbered]):
    fails = step(no).takes(Numbered.value)
    rescue = step(rescue).takes(message=fails.error.message, value=Numbered.value)
    flow = (fails >> complete, fails.on_error >> rescue >> complete)


class Careful(Workflow[NoPayload]):
    work = step(hold, on_interrupt="pause").takes(resource(Probe))
    after = step(number).takes(work.output)


WORKFLOWS: Workflows = [
    *(Described, Leaking, Branching, Held, Paused, Reviewed, Quick, Wired, Routed, Careful),
]
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


@conforms("S152")
async def test_a_step_that_has_begun_shows_what_it_was_handed(mesh: Mesh, probe: Probe) -> None:
    run = await mesh.start_run(Held)
    await probe.begun.wait()
    before = await history(mesh, run.id)
    assert [state.input for state in before.steps] == [{}, None]
    probe.gate.set()
    after = await ended(mesh, run.id)
    assert [state.input for state in after.steps] == [{}, {"value": 7}]
    assert "input" not in repr(after.steps)


@conforms("S90")
async def test_inputs_of_every_kind_are_shown(mesh: Mesh) -> None:
    run = await mesh.start_run(Wired, {"days": 3, "word": "x"})
    await ended(mesh, run.id, until=SETTLED)
    states = {state.step: state for state in (await history(mesh, run.id)).steps}
    assert states["describe"].input == {"words": ["x", "constant"], "by_name": {"days": 3}}
    assert states["review"].input == {"deadline": "P3D"}
    assert states["tell"].input is None
    await mesh.approve_run(run.id, actor="ada")
    details = await ended(mesh, run.id)
    tell = step_of(details, "tell")
    assert tell.input is not None
    assert (tell.input["who"], tell.input["missing"]) == ("ada", None)


async def test_a_failed_step_s_input_is_what_it_has_of_it(mesh: Mesh) -> None:
    run = await play(mesh, Routed, Numbered(value=7))
    assert step_of(run, "rescue").input == {"message": "no", "value": 7}
    assert step_of(run, "rescue").output == "no 7"


async def test_a_step_says_what_becomes_of_it_if_its_worker_dies(dsn: str, probe: Probe) -> None:
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as mesh:
        run = await mesh.start_run(Careful)
        await probe.begun.wait()
    async with on_host(dsn, WORKFLOWS, resources=[Probe()]) as heir:
        await heir.wait_for_run(run.id, until=SETTLED, timeout=BOUND)
        details = await history(heir, run.id)
    assert [state.recovery for state in details.steps] == [
        Recovery("pause", interruptions=1),
        Recovery("retry", interruptions=0),
    ]


async def test_a_history_is_of_one_moment(
    mesh: Mesh, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written between its reads isn't in it."""
    run = await mesh.start_run(Paused)
    await ended(mesh, run.id, until=SETTLED)
    rows = mesh._reader._rows

    async def meddle(connection: Any, name: str, asked: Any) -> Any:
        if name == "get_attempts":
            await every(dsn, "delete from squid_mesh.attempts")
            await every(dsn, "delete from squid_mesh.audit_events")
        return await rows(connection, name, asked)

    monkeypatch.setattr(mesh._reader, "_rows", meddle)
    details = await history(mesh, run.id)
    assert [event.type for event in details.audit_events] == ["paused"]
    assert [attempt.status for attempt in step_of(details, "stop").attempts] == ["running"]


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


async def test_who_waits_reads_where_the_run_stands_once_a_while(
    mesh: Mesh, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And otherwise listens."""
    asked: list[str] = []
    ask = Waiters._ask

    async def count(waiters: Waiters, statement: str, runs: list[UUID]) -> list[UUID]:
        asked.append(statement)
        return await ask(waiters, statement, runs)

    monkeypatch.setattr(Waiters, "_ask", count)
    run = await mesh.start_run(Held)
    await probe.begun.wait()
    with pytest.raises(WaitTimeout):
        await mesh.wait_for_run(run.id, timeout=timedelta(seconds=1.5 * READ_SECONDS))
    assert asked.count("watch_runs") == 1
    assert 1 <= asked.count("get_statuses") <= 3
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


async def test_runs_are_listed_by_their_tags(mesh: Mesh) -> None:
    tags = [{"tenant": "a"}, {"tenant": "a", "order": "1"}, {"tenant": "b", "order": "1"}, {}]
    runs = [(await mesh.start_run(Quick, Numbered(value=0), tags=t)).id for t in tags]
    several = await mesh.start_runs(Quick, [Numbered(value=1)], tags={"tenant": "c"})

    async def ids(**tags: str) -> list[UUID]:
        return [run.id for run in (await mesh.list_runs(tags=tags)).runs]

    assert await ids(tenant="a") == [runs[1], runs[0]]
    assert await ids(order="1") == [runs[2], runs[1]]
    assert await ids(order="1", tenant="a") == [runs[1]]
    assert await ids(tenant="c") == [several[0].id]
    assert await ids(tenant="d") == []
    assert len(await ids()) == 5


async def test_runs_are_listed_by_the_step_that_they_are_at(mesh: Mesh, probe: Probe) -> None:
    probe.gate.set()
    await play(mesh, Branching)
    stopped = await mesh.start_run(Paused)
    await ended(mesh, stopped.id, until=SETTLED)

    async def ids(step: Any) -> list[UUID]:
        return [run.id for run in (await mesh.list_runs(step=step)).runs]

    assert await ids(Paused.stop) == await ids("stop") == [stopped.id]
    assert await ids("after") == await ids(Branching.ask) == []
    await mesh.cancel_run(stopped.id)
    assert await ids("stop") == []


async def test_times_bound_a_list(mesh: Mesh) -> None:
    runs = [await mesh.start_run(Quick, Numbered(value=n)) for n in range(3)]
    first, second, third = (run.inserted_at for run in runs)

    async def ids(**bounds: Any) -> list[UUID]:
        return [run.id for run in (await mesh.list_runs(**bounds)).runs]

    assert await ids(since=second) == [runs[2].id, runs[1].id]
    assert await ids(until=third) == [runs[1].id, runs[0].id]
    assert await ids(since=second, until=third) == [runs[1].id]
    assert await ids(since=first, until=first) == []


async def test_a_list_shows_no_payload_and_no_details_of_errors(mesh: Mesh) -> None:
    run = await play(mesh, Leaking, ACCOUNT)
    (listed,) = (await mesh.list_runs()).runs
    assert run.error is not None
    assert listed.error == replace(run.error, details=None)
    assert listed.payload is None


WRONG: dict[str, list[Any]] = {
    "workflow": [7, "a\0b", object()],
    "status": ["gone", 7, ["running", "gone"], [7], "Running", ""],
    "trigger": [7, "\0"],
    "step": [7, "\0"],
    "tags": [7, "tenant", ["tenant"], {"tenant": 7}, {7: "a"}, {"a": "\0"}, {"a": None}],
    "since": [datetime(2026, 1, 1), "2026-01-01", 7, date(2026, 1, 1)],  # noqa: DTZ001
    "until": [datetime(2026, 1, 1), "2026-01-01", 7],  # noqa: DTZ001
    "replayed_from": ["", "7", 7, b"x"],
    "limit": [0, -1, 1001, True, 7.0, "7", None],
    "cursor": [
        "",
        "x",
        "!",
        "e30=",
        "W10=",
        "WzEsMl0=",
        "WyIyMDI2LTAxLTAxIiw1XQ==",
        "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwiMDE5YjdhZjgtNTgwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAwIl0=",
        "Ü",
        7,
        b"x",
    ],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in WRONG.items() for value in values],
    ids=repr,
)
async def test_what_a_list_can_t_be_asked_is_told_before_anything_is_read(
    name: str, value: Any
) -> None:
    asked: dict[str, Any] = {name: value}
    closed = Mesh.connect("postgresql://nowhere.invalid/", workflows=[], queues={})
    with pytest.raises(InvalidFilter) as caught:
        await closed.list_runs(**asked)
    assert isinstance(caught.value, ValueError)
    assert list(caught.value.problems) == [name]
    assert repr(value) in str(caught.value)


async def test_everything_that_is_wrong_with_filters_is_told_at_once(mesh: Mesh) -> None:
    everything = {name: values[0] for name, values in WRONG.items()}
    with pytest.raises(InvalidFilter) as caught:
        await mesh.list_runs(**everything)
    assert caught.value.problems.keys() == WRONG.keys()


async def test_a_list_can_t_end_before_it_begins(mesh: Mesh) -> None:
    since, until = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(InvalidFilter, match=r"since: is 2026-01-02 .* after until") as caught:
        await mesh.list_runs(since=since, until=until)
    assert list(caught.value.problems) == ["since"]
