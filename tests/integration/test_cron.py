"""Cron windows: registered, fired once, caught up with, paused, lost and found. Time is moved."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from squid_mesh import (
    InvalidTrigger,
    Mesh,
    NoPayload,
    Payload,
    Run,
    RunStatus,
    Schedule,
    StepContext,
    Window,
    Workflow,
    context,
    cron,
    manual,
    step,
)
from squid_mesh.runtime import payloads, scheduling
from squid_mesh.runtime.intake import PutBack
from squid_mesh.telemetry import Event, RunCreated, RunEnded
from tests.clock import advance, every, now, one, wake_jobs
from tests.conformance import conforms
from tests.meshes import ended, eventually, history, on_host

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
LISBON = ZoneInfo("Europe/Lisbon")

troubles: list[BaseException | Any] = []
"""What payload functions raise or give in place of what they should, one at a time."""

asked: list[Window] = []
"""The windows that payload functions were called for."""


@pytest.fixture(autouse=True)
def forget() -> Generator[None]:
    yield
    troubles.clear()
    asked.clear()


class Digest(Payload):
    posted_on: str


def todays(window: Window) -> Any:
    asked.append(window)
    if not troubles:
        return Digest(posted_on=window.date().isoformat())
    trouble = troubles.pop(0)
    if isinstance(trouble, BaseException):
        raise trouble
    return trouble


async def slowly(window: Window) -> Digest:
    await asyncio.sleep(0)
    return Digest(posted_on=f"slowly {window.date()}")


async def never(window: Window) -> Digest:
    asked.append(window)
    await asyncio.Event().wait()
    raise AssertionError


async def post(at: StepContext, posted_on: str) -> str:
    assert at.window is not None
    return f"{at.window.trigger} {at.window.at.isoformat()} {posted_on}"


async def nothing() -> None: ...


class Daily(Workflow[Digest]):
    by_hand = manual()
    at_nine = cron("0 9 * * *", timezone="Europe/Lisbon", payload=todays)
    post = step(post).takes(context, posted_on=Digest.posted_on)


class Later(Workflow[Digest], name="Daily"):
    by_hand = manual()
    at_nine = cron("30 17 * * *", timezone="Etc/UTC", payload=todays)
    post = step(post).takes(context, posted_on=Digest.posted_on)


class Slow(Workflow[Digest]):
    at_nine = cron("0 9 * * *", timezone="Etc/UTC", payload=slowly)
    post = step(post).takes(context, posted_on=Digest.posted_on)


class Endless(Workflow[Digest]):
    at_nine = cron("0 9 * * *", timezone="Etc/UTC", payload=never)
    post = step(post).takes(context, posted_on=Digest.posted_on)


class Greeting(Payload):
    text: str = "good morning"


class Defaults(Workflow[Greeting]):
    at_nine = cron("0 9 * * *", timezone="Etc/UTC")
    only = step(nothing).takes()


class Skipping(Workflow[NoPayload]):
    at_nine = cron("0 9 * * *", timezone="Etc/UTC", missed="skip")
    only = step(nothing).takes()


class CatchingUp(Workflow[NoPayload]):
    at_nine = cron("0 9 * * *", timezone="Etc/UTC", missed="all", max_missed=3)
    only = step(nothing).takes()


def mesh_of(dsn: str, *workflows: type[Workflow[Any]], **options: Any) -> Any:
    options.setdefault("heartbeat", timedelta(seconds=0.1))
    mesh: AbstractAsyncContextManager[Mesh] = on_host(dsn, workflows, **options)
    return mesh


async def schedule_of(mesh: Mesh) -> Schedule:
    (schedule,) = await mesh.schedules()
    return schedule


async def next_of(mesh: Mesh) -> datetime:
    """The window that the only schedule waits for."""
    following = (await schedule_of(mesh)).next_window
    assert following is not None
    return following


async def go_to(dsn: str, moment: datetime) -> None:
    """Let time pass until then."""
    await advance(dsn, moment - await now(dsn))


async def runs_of(mesh: Mesh) -> list[Run]:
    return list((await mesh.list_runs()).runs)


def passes(mesh: Mesh, window: datetime) -> Callable[[], Awaitable[bool]]:
    """Whether a window is over."""

    async def is_over() -> bool:
        following = (await schedule_of(mesh)).next_window
        return following is not None and following > window

    return is_over


async def fires(dsn: str, mesh: Mesh) -> datetime:
    """Go to the next window and wait until it is over."""
    window = await next_of(mesh)
    await go_to(dsn, window)
    await eventually(passes(mesh, window))
    return window


async def cron_jobs(dsn: str) -> list[tuple[int, str]]:
    """Jobs of windows that still are to come, and the windows."""
    return await every(
        dsn,
        "select id, args -> 'cron' ->> 'window' from oban_jobs"
        " where args ? 'cron' and state in ('scheduled', 'available', 'retryable')",
    )


async def copy_jobs(dsn: str) -> None:
    """Deliver each job of a window twice more, of those that haven't been delivered."""
    await every(
        dsn,
        "insert into oban_jobs (state, queue, worker, args, max_attempts, scheduled_at)"
        " select state, queue, worker, args, max_attempts, scheduled_at from oban_jobs,"
        " generate_series(1, 2) where args ? 'cron' and state in ('available', 'scheduled')",
    )


# registration


@conforms("S163", "S167")
async def test_a_new_trigger_waits_for_the_window_after_now(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        schedule = await schedule_of(mesh)
        at = await now(dsn)
        ((_, job_window),) = await cron_jobs(dsn)
    assert (schedule.workflow, schedule.trigger) == ("Daily", "at_nine")
    assert (schedule.expression, schedule.timezone) == ("0 9 * * *", "Europe/Lisbon")
    assert (schedule.last_window, schedule.paused, schedule.error) == (None, False, None)
    following = schedule.next_window
    assert following is not None
    assert at < following <= at + DAY + timedelta(hours=1)
    assert (following.hour, following.minute, following.tzinfo) == (9, 0, LISBON)
    assert datetime.fromisoformat(job_window) == following


@conforms("S167")
async def test_a_known_trigger_is_left_alone(dsn: str) -> None:
    async with mesh_of(dsn, Daily):
        before = await every(dsn, "select s::text from squid_mesh.schedules s")
    async with mesh_of(dsn, Daily):
        assert await every(dsn, "select s::text from squid_mesh.schedules s") == before
        assert len(await cron_jobs(dsn)) == 1


async def test_a_known_trigger_without_a_job_gets_one(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        window = await next_of(mesh)
    await every(dsn, "delete from oban_jobs")
    async with mesh_of(dsn, Daily) as mesh:
        assert await next_of(mesh) == window
        assert len(await cron_jobs(dsn)) == 1


async def test_another_expression_or_zone_waits_for_another_window(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        window = await next_of(mesh)
    async with mesh_of(dsn, Later) as mesh:
        schedule = await schedule_of(mesh)
        ((_, job_window),) = await cron_jobs(dsn)
    assert (schedule.expression, schedule.timezone) == ("30 17 * * *", "Etc/UTC")
    assert schedule.next_window != window
    assert schedule.next_window == datetime.fromisoformat(job_window)


async def test_a_job_of_a_mesh_that_is_gone_is_replaced(dsn: str) -> None:
    async with mesh_of(dsn, Daily, name="former"):
        ((former, _),) = await cron_jobs(dsn)
    async with mesh_of(dsn, Daily) as mesh:
        ((job, _),) = await cron_jobs(dsn)
        assert job != former
        await fires(dsn, mesh)
        assert len(await runs_of(mesh)) == 1


# firing


@conforms("S161", "S164", "S165")
async def test_a_window_starts_one_run(dsn: str) -> None:
    events: list[Event] = []
    async with mesh_of(dsn, Daily, observers=[events.append]) as mesh:
        window = await fires(dsn, mesh)
        (run,) = await runs_of(mesh)
        details = await ended(mesh, run.id)
        schedule = await schedule_of(mesh)
        jobs = await cron_jobs(dsn)
    assert (run.trigger, run.window) == ("at_nine", window)
    assert run.payload is None
    date = window.date().isoformat()
    assert details.payload == {"posted_on": date}
    assert details.context == {"post": f"at_nine {window.isoformat()} {date}"}
    assert asked == [Window("at_nine", window)]
    assert asked[0].at.tzinfo is LISBON
    assert schedule.last_window == window
    assert schedule.next_window is not None
    assert schedule.next_window.date() == window.date() + DAY
    assert [datetime.fromisoformat(at) for _, at in jobs] == [schedule.next_window]
    told = RunCreated(run_id=run.id, workflow="Daily", trigger="at_nine")
    assert events.count(told) == 1


async def test_on_a_pool_and_an_oban_of_the_mesh_s_own(dsn: str) -> None:
    mesh = Mesh.connect(dsn, workflows=[Daily], queues={"squid_mesh": 5}, heartbeat=SECOND / 10)
    async with mesh:
        window = await fires(dsn, mesh)
        (run,) = await runs_of(mesh)
        assert (await ended(mesh, run.id)).status == "completed"
        assert run.window == window


async def test_each_window_starts_its_run(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        windows = [await fires(dsn, mesh) for _ in range(3)]
        assert [run.window for run in await runs_of(mesh)] == windows[::-1]


@conforms("S161", "S165")
async def test_a_payload_is_made_of_defaults(dsn: str) -> None:
    async with mesh_of(dsn, Defaults) as mesh:
        await fires(dsn, mesh)
        (run,) = await runs_of(mesh)
        assert (await history(mesh, run.id)).payload == {"text": "good morning"}


async def test_a_payload_function_may_be_async(dsn: str) -> None:
    async with mesh_of(dsn, Slow) as mesh:
        window = await fires(dsn, mesh)
        (run,) = await runs_of(mesh)
        payload = (await history(mesh, run.id)).payload
    assert payload == {"posted_on": f"slowly {window.date()}"}


async def test_a_window_that_is_delivered_often_starts_one_run(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        await copy_jobs(dsn)
        await fires(dsn, mesh)

        async def is_quiet() -> bool:
            return len(await cron_jobs(dsn)) == 1

        await eventually(is_quiet)
        await copy_jobs(dsn)
        await wake_jobs(dsn)  # too early: each is put back, by the time that it is then
        await eventually(lambda: all_wait(dsn, 3))
        window = await fires(dsn, mesh)
        await eventually(is_quiet)
        assert (await runs_of(mesh))[0].window == window
        assert len(await runs_of(mesh)) == 2


async def all_wait(dsn: str, count: int) -> bool:
    """Whether so many jobs of windows are scheduled, in the future, and none is under way."""
    query = (
        "select state = 'scheduled' and scheduled_at > timezone('UTC', now()) from oban_jobs"
        " where args ? 'cron' and state not in ('completed', 'cancelled', 'discarded')"
    )
    return await every(dsn, query) == [(True,)] * count


async def test_a_job_that_was_put_off_while_the_clock_stepped_forward(dsn: str) -> None:
    """It would come a day late: the window has another job when it is overdue."""
    async with mesh_of(dsn, Daily) as mesh:
        window = await next_of(mesh)
        step = window - await now(dsn) + timedelta(seconds=10)
        await every(dsn, "update squid_mesh.clock set shift = shift + %s", step)
        await mesh._process.scheduler.requeue()
        await eventually(passes(mesh, window))
        assert [run.window for run in await runs_of(mesh)] == [window]


async def test_a_job_that_comes_too_early_is_put_back(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        await wake_jobs(dsn)

        async def is_put_back() -> bool:
            query = "select state::text, meta ->> 'snoozed' from oban_jobs where args ? 'cron'"
            return await every(dsn, query) == [("scheduled", "1")]

        await eventually(is_put_back)
        assert await runs_of(mesh) == []
        await fires(dsn, mesh)
        assert len(await runs_of(mesh)) == 1


async def test_no_window_comes_again_when_the_clock_steps_back(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        window = await fires(dsn, mesh)
        following = await next_of(mesh)
        await every(dsn, "update squid_mesh.clock set shift = shift - interval '3 hours'")
        await every(
            dsn,
            "insert into oban_jobs (queue, worker, args) select queue, worker, jsonb_set("
            "args, '{cron,window}', to_jsonb(%s::text)) from oban_jobs where args ? 'cron'",
            window.isoformat(),
        )
        await wake_jobs(dsn)

        async def is_quiet() -> bool:
            return len(await cron_jobs(dsn)) == 1

        await eventually(is_quiet)
        assert await next_of(mesh) == following
        assert len(await runs_of(mesh)) == 1
    async with mesh_of(dsn, Later) as mesh:
        assert await next_of(mesh) > window
        await fires(dsn, mesh)
    assert len(await every(dsn, "select 1 from squid_mesh.runs")) == 2


# missed windows


async def missed(dsn: str, workflow: type[Workflow[Any]], by: timedelta) -> list[timedelta]:
    """How much later than a window are those that a mesh starts which comes so late."""
    async with mesh_of(dsn, workflow) as mesh:
        window = await next_of(mesh)
    await go_to(dsn, window + by)
    async with mesh_of(dsn, workflow) as mesh:
        await eventually(passes(mesh, window))
        assert await next_of(mesh) > await now(dsn)
        return sorted(run.window - window for run in await runs_of(mesh) if run.window)


@pytest.mark.parametrize(
    ("workflow", "by", "started"),
    [
        (Skipping, timedelta(seconds=50), [0]),
        (Skipping, timedelta(minutes=2), []),
        (Skipping, 2 * DAY, [2]),
        (Skipping, 2 * DAY + timedelta(hours=1), []),
        (Daily, timedelta(minutes=2), [0]),
        (Defaults, 2 * DAY + timedelta(hours=1), [2]),
        (CatchingUp, timedelta(minutes=2), [0]),
        (CatchingUp, 2 * DAY + timedelta(hours=1), [0, 1, 2]),
        (CatchingUp, 9 * DAY + timedelta(hours=1), [7, 8, 9]),
    ],
)
async def test_missed_windows_are_caught_up_with_as_the_trigger_says(
    dsn: str, workflow: type[Workflow[Any]], by: timedelta, started: list[int]
) -> None:
    assert await missed(dsn, workflow, by) == [number * DAY for number in started]


# payloads that can't be made


async def tries(mesh: Mesh, dsn: str, count: int) -> None:
    """Let a window be tried so often, without waiting for the backoff."""
    for number in range(1, count + 1):

        async def is_counted(number: int = number) -> bool:
            return await every(
                dsn,
                "select attempts from squid_mesh.schedules s join oban_jobs j on j.id = s.job_id"
                " where j.state = 'scheduled'",
            ) == [(number,)]

        await eventually(is_counted)
        assert await runs_of(mesh) == []
        await advance(dsn, timedelta(seconds=31))


async def test_a_payload_is_tried_again(dsn: str) -> None:
    troubles.extend([RuntimeError("no settings"), {"posted_on": 5}, SystemExit(1)])
    async with mesh_of(dsn, Daily) as mesh:
        window = await next_of(mesh)
        await go_to(dsn, window)
        await tries(mesh, dsn, 3)
        await eventually(passes(mesh, window))
        (run,) = await runs_of(mesh)
        assert run.window == window
        assert (await ended(mesh, run.id)).status == "completed"
        assert (await schedule_of(mesh)).error is None
    assert len(asked) == 4


async def test_a_payload_that_can_t_be_made_is_a_failed_run(dsn: str) -> None:
    troubles.extend([RuntimeError("no settings")] * scheduling.MOST_TRIES)
    events: list[Event] = []
    async with mesh_of(dsn, Daily, observers=[events.append]) as mesh:
        window = await next_of(mesh)
        await go_to(dsn, window)
        await tries(mesh, dsn, scheduling.MOST_TRIES - 1)
        await eventually(passes(mesh, window))
        (run,) = (await mesh.list_runs(status=RunStatus.FAILED)).runs
        details = await history(mesh, run.id)
        schedule = await schedule_of(mesh)
        following = await fires(dsn, mesh)
        (newer, _) = await runs_of(mesh)
        recovered = await schedule_of(mesh)
    assert (run.trigger, run.window, run.current_steps) == ("at_nine", window, ())
    assert run.error is not None
    assert (run.error.code, run.error.type, run.error.attempt) == (
        "payload_failed",
        "RuntimeError",
        scheduling.MOST_TRIES,
    )
    assert f"{todays.__module__}:todays" in run.error.message
    assert "no settings" in run.error.message
    assert details.payload == {}
    assert [str(state.status) for state in details.steps] == ["skipped"]
    assert details.step_runs == ()
    assert schedule.error == run.error
    assert schedule.last_window == window
    assert (newer.window, recovered.error) == (following, None)
    told = [type(event).__name__ for event in events if event.run_id == run.id]
    assert told == [RunCreated.__name__, RunEnded.__name__]


async def test_a_payload_that_its_model_refuses_can_t_be_made(dsn: str) -> None:
    troubles.extend([{"posted_on": 5, "more": 1}] * scheduling.MOST_TRIES)
    async with mesh_of(dsn, Daily) as mesh:
        window = await next_of(mesh)
        await go_to(dsn, window)
        await tries(mesh, dsn, scheduling.MOST_TRIES - 1)
        await eventually(passes(mesh, window))
        (run,) = await runs_of(mesh)
    assert run.error is not None
    assert (run.error.code, run.error.type) == ("payload_failed", "InvalidPayload")
    assert "posted_on" in run.error.message


async def test_a_payload_function_has_its_time(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "MAKING_SECONDS", 0.05)
    async with mesh_of(dsn, Endless) as mesh:
        await go_to(dsn, await next_of(mesh))
        await tries(mesh, dsn, 1)
        error = (await schedule_of(mesh)).error
    assert error is not None
    assert error.type == "TimeoutError"
    assert "it took longer than 0.05 s" in error.message


async def test_payloads_of_missed_windows_fail_one_by_one(dsn: str) -> None:
    class All(Workflow[Digest]):
        at_nine = cron("0 9 * * *", timezone="Etc/UTC", payload=todays, missed="all")
        post = step(post).takes(context, posted_on=Digest.posted_on)

    async with mesh_of(dsn, All) as mesh:
        window = await next_of(mesh)
    await go_to(dsn, window + DAY)
    for _ in range(scheduling.MOST_TRIES):
        troubles.extend([RuntimeError("no settings"), {"posted_on": "today"}])
    async with mesh_of(dsn, All) as mesh:
        await tries(mesh, dsn, scheduling.MOST_TRIES - 1)
        await eventually(passes(mesh, window))
        runs = {run.window: run for run in await runs_of(mesh)}
        assert runs[window].status == "failed"
        assert (await ended(mesh, runs[window + DAY].id)).status == "completed"


# code that is gone


@conforms("S166")
async def test_a_workflow_that_left_the_code_rests_until_it_comes_back(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        window = await next_of(mesh)
    await go_to(dsn, window)
    async with mesh_of(dsn) as mesh:

        async def rests() -> bool:
            return (await schedule_of(mesh)).next_window is None

        await eventually(rests)
        assert await cron_jobs(dsn) == []
        assert await runs_of(mesh) == []
    async with mesh_of(dsn, Daily) as mesh:
        await eventually(passes(mesh, window))
        assert [run.window for run in await runs_of(mesh)] == [window]


async def test_a_workflow_that_another_process_declares_is_left_to_it(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        window = await next_of(mesh)
    await every(
        dsn,
        "insert into squid_mesh.workers (mesh, node, pid, queues, definitions)"
        " select 'squid_mesh', 'elsewhere', 1, '{squid_mesh}', array[version]"
        " from squid_mesh.definitions",
    )
    await go_to(dsn, window)
    async with mesh_of(dsn) as mesh:

        async def is_put_back() -> bool:
            query = "select state::text, meta ->> 'snoozed' from oban_jobs where args ? 'cron'"
            return await every(dsn, query) == [("scheduled", "1")]

        await eventually(is_put_back)
        assert await next_of(mesh) == window
    async with mesh_of(dsn, Daily) as mesh:
        await wake_jobs(dsn)
        await eventually(passes(mesh, window))
        assert len(await runs_of(mesh)) == 1


# lost jobs


@pytest.mark.parametrize(
    "loses",
    [
        "delete from oban_jobs",
        "update oban_jobs set state = 'discarded'",
        "update oban_jobs set state = 'executing', attempted_at = now() - interval '1 hour'",
        "update oban_jobs set worker = 'squid_mesh.nobody'",
    ],
)
async def test_a_window_whose_job_got_lost_gets_a_new_one(dsn: str, loses: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        window = await next_of(mesh)
        await every(dsn, loses)
        await go_to(dsn, window + timedelta(seconds=6))
        await eventually(passes(mesh, window))
        assert [run.window for run in await runs_of(mesh)] == [window]


async def test_a_window_that_is_due_keeps_its_job(dsn: str) -> None:
    async with mesh_of(dsn, Daily, queues={}) as mesh:
        jobs = await cron_jobs(dsn)
        await go_to(dsn, await next_of(mesh) + timedelta(seconds=6))
        for _ in range(2):
            await mesh._process.scheduler.requeue()
        assert await cron_jobs(dsn) == jobs


# pausing


async def test_a_paused_schedule_fires_nothing_and_skips_what_passed(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        window = await next_of(mesh)
        paused = await mesh.pause_schedule(Daily, "at_nine")
        assert await mesh.pause_schedule("Daily", "at_nine") == paused
        assert (paused.paused, paused.next_window) == (True, None)
        assert await cron_jobs(dsn) == []
        await go_to(dsn, window + DAY + timedelta(hours=2))
        await mesh._process.scheduler.requeue()
        assert await cron_jobs(dsn) == []

        resumed = await mesh.resume_schedule(Daily, "at_nine")
        assert await mesh.resume_schedule(Daily, "at_nine") == resumed
        assert (resumed.paused, len(await cron_jobs(dsn))) == (False, 1)
        assert resumed.next_window is not None
        assert resumed.next_window.date() == window.date() + 2 * DAY
        await fires(dsn, mesh)
        assert [run.window for run in await runs_of(mesh)] == [resumed.next_window]


async def test_a_schedule_stays_paused_whatever_is_deployed(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        await mesh.pause_schedule(Daily, "at_nine")
    for workflow in (Daily, Later):
        async with mesh_of(dsn, workflow) as mesh:
            assert (await schedule_of(mesh)).paused
            assert await cron_jobs(dsn) == []
    async with mesh_of(dsn, Later) as mesh:
        assert (await mesh.resume_schedule(Later, "at_nine")).expression == "30 17 * * *"
        await fires(dsn, mesh)


async def test_a_window_that_is_being_fired_when_it_is_paused_starts_nothing(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        window = await next_of(mesh)
        await every(dsn, "update oban_jobs set state = 'executing'")
        await mesh.pause_schedule(Daily, "at_nine")
        await go_to(dsn, window)
        tick = scheduling.Tick(workflow="Daily", trigger="at_nine", window=window, job=None)
        assert await mesh._process.scheduler.fire(tick) is None
        assert await runs_of(mesh) == []


async def test_a_schedule_that_isn_t_there_can_t_be_paused(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        with pytest.raises(InvalidTrigger, match=r"Daily has no cron trigger 'noon'.*at_nine"):
            await mesh.pause_schedule(Daily, "noon")
        with pytest.raises(InvalidTrigger):
            await mesh.resume_schedule("Nosuch", "at_nine")


# beside each other


async def test_somebody_else_s_lock_puts_the_window_back(dsn: str) -> None:
    async with mesh_of(dsn, Daily, queues={}) as mesh:
        window = await next_of(mesh)
        await go_to(dsn, window)
        tick = scheduling.Tick(workflow="Daily", trigger="at_nine", window=window, job=None)
        async with mesh._pool.connection() as connection:
            await connection.execute("select 1 from squid_mesh.schedules for no key update")
            assert await mesh._process.scheduler.fire(tick) is not None
        assert await mesh._process.scheduler.fire(tick) is None
        assert await mesh._process.scheduler.fire(tick) is None
        assert len(await runs_of(mesh)) == 1


async def test_a_window_of_a_schedule_that_was_deleted_starts_nothing(dsn: str) -> None:
    async with mesh_of(dsn, Daily) as mesh:
        await every(dsn, "delete from squid_mesh.schedules")
        await advance(dsn, 2 * DAY)

        async def is_done() -> bool:
            return (await one(dsn, "select state::text from oban_jobs")) == ("completed",)

        await eventually(is_done)
        assert await mesh.schedules() == []
        assert await runs_of(mesh) == []


async def test_a_closing_mesh_puts_windows_back(dsn: str) -> None:
    async with mesh_of(dsn, Daily, queues={}) as mesh:
        scheduler = mesh._process.scheduler
        tick = scheduling.Tick(workflow="Daily", trigger="at_nine", window=datetime.now(UTC), job=1)
        await mesh._process.drain()
        assert await scheduler.fire(tick) == PutBack(1.0)
