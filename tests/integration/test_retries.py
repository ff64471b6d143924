"""Attempts: how many, when, with which errors, and what ends them early."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import UUID

import pytest

from squid_mesh import (
    Constant,
    Exponential,
    Mesh,
    NoPayload,
    Retry,
    RetryLater,
    RunDetails,
    StepContext,
    StepError,
    Workflow,
    complete,
    context,
    resource,
    step,
)
from tests.clock import advance, every, now, one, wake_jobs
from tests.conformance import conforms
from tests.meshes import (
    Probe,
    Workflows,
    ended,
    eventually,
    history,
    message_of,
    on_host,
    play,
    step_of,
)

SECOND = timedelta(seconds=1)


class Temporary(Exception):
    pass


class Final(Exception):
    pass


class VeryFinal(Final):
    pass


async def flaky(at: StepContext, good_attempt: int) -> int:
    """Fail until the attempt that is good."""
    if at.attempt < good_attempt:
        raise Temporary(f"attempt {at.attempt}")
    return at.attempt


async def keys(at: StepContext, probe: Probe) -> int:
    probe.note(f"{at.attempt} {at.idempotency_key}")
    if at.attempt < 3:
        raise Temporary
    return at.attempt


async def come_later(at: StepContext, seconds: int) -> int:
    if at.attempt < 3:
        raise RetryLater(timedelta(seconds=seconds), "the bank is closed")
    return at.attempt


async def finally_broken(at: StepContext) -> None:
    raise VeryFinal(f"attempt {at.attempt}")


async def refused(at: StepContext) -> None:
    raise StepError(f"attempt {at.attempt}", code="refused", retryable=False)


async def broken(at: StepContext) -> None:
    raise StepError(f"attempt {at.attempt}", code="broken", details={"at": at.attempt})


async def fine() -> str:
    return "fine"


def growing(attempts: int, *, jitter: bool = False) -> Retry:
    return Retry(attempts, Exponential(SECOND, 5 * SECOND), jitter=jitter)


class AtOnce(Workflow[NoPayload]):
    work = step(flaky, retry=Retry(5)).takes(context, 4)


class Growing(Workflow[NoPayload]):
    work = step(flaky, retry=growing(7)).takes(context, 6)
    flow = work >> complete


class Steady(Workflow[NoPayload]):
    work = step(flaky, retry=Retry(3, Constant(3 * SECOND), jitter=False)).takes(context, 3)


class Jittery(Workflow[NoPayload]):
    work = step(flaky, retry=Retry(3, Constant(100 * SECOND))).takes(context, 2)


class Keys(Workflow[NoPayload]):
    work = step(keys, retry=Retry(3)).takes(context, resource(Probe))


class Later(Workflow[NoPayload]):
    work = step(come_later, retry=growing(3)).takes(context, 40)


class LaterWithoutPolicy(Workflow[NoPayload]):
    work = step(come_later).takes(context, 40)


class StopOn(Workflow[NoPayload]):
    work = step(finally_broken, retry=Retry(5, stop_on=(Final,))).takes(context)


class NotRetryable(Workflow[NoPayload]):
    work = step(refused, retry=Retry(5)).takes(context)


class Exhausted(Workflow[NoPayload]):
    work = step(broken, retry=Retry(3)).takes(context)


class ExhaustedWithRoute(Workflow[NoPayload]):
    work = step(broken, retry=Retry(2)).takes(context)
    rescue = step(fine).takes()
    flow = (work >> complete, work.on_error >> rescue >> complete)


WORKFLOWS: Workflows = [
    *(AtOnce, Growing, Steady, Jittery, Keys, Later, LaterWithoutPolicy),
    *(StopOn, NotRetryable, Exhausted, ExhaustedWithRoute),
]


@pytest.fixture
async def mesh(dsn: str, probe: Probe) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as mesh:
        yield mesh


async def failed(dsn: str, run_id: UUID, attempts: int) -> timedelta:
    """Wait until so many attempts have failed; how long after the last the next one is due."""

    async def is_due() -> bool:
        return bool(await every(dsn, due, run_id, attempts))

    due = "select 1 from squid_mesh.steps where run_id = %s and attempt = %s and due_at is not null"
    await eventually(is_due)
    (delay,) = await one(
        dsn,
        """
        select s.due_at - a.finished_at
        from squid_mesh.steps s join squid_mesh.attempts a
          on a.run_id = s.run_id and a.step = s.step and a.number = s.attempt
        where s.run_id = %s and s.status = 'scheduled'
        """,
        run_id,
    )
    assert isinstance(delay, timedelta)
    return delay


def attempts_of(run: RunDetails) -> list[tuple[int, str, str | None]]:
    """Number, status and message of each attempt at the step `work`."""
    return [
        (attempt.number, str(attempt.status), attempt.error.message if attempt.error else None)
        for attempt in step_of(run, "work").attempts
    ]


@conforms("S68", "S69", "S72", "S103")
async def test_attempts_are_numbered_and_keep_their_errors(mesh: Mesh) -> None:
    run = await play(mesh, AtOnce)

    assert run.status == "completed"
    assert run.output(AtOnce.work) == 4
    assert attempts_of(run) == [
        (1, "failed", "attempt 1"),
        (2, "failed", "attempt 2"),
        (3, "failed", "attempt 3"),
        (4, "completed", None),
    ]
    assert step_of(run, "work").error is None
    assert run.error is None


async def test_each_attempt_has_its_own_times(mesh: Mesh) -> None:
    attempts = step_of(await play(mesh, AtOnce), "work").attempts
    moments = [m for a in attempts for m in (a.started_at, a.finished_at) if m is not None]
    assert len(moments) == 2 * 4
    assert moments == sorted(moments)


@conforms("S100", "S101")
async def test_a_growing_backoff_doubles_up_to_its_maximum(mesh: Mesh, dsn: str) -> None:
    run = await mesh.start_run(Growing)
    delays: list[timedelta] = []
    for number in range(1, 6):
        delays.append(await failed(dsn, run.id, number))
        await advance(dsn, delays[-1])

    assert delays == [SECOND, 2 * SECOND, 4 * SECOND, 5 * SECOND, 5 * SECOND]
    details = await ended(mesh, run.id)
    assert [number for number, *_ in attempts_of(details)] == [1, 2, 3, 4, 5, 6]


async def test_a_constant_backoff_stays_the_same(mesh: Mesh, dsn: str) -> None:
    run = await mesh.start_run(Steady)
    for number in (1, 2):
        assert await failed(dsn, run.id, number) == 3 * SECOND
        await advance(dsn, 3 * SECOND)
    assert (await ended(mesh, run.id)).output(Steady.work) == 3


@conforms("S100")
async def test_jitter_spreads_a_backoff_by_a_quarter(mesh: Mesh, dsn: str) -> None:
    runs = [await mesh.start_run(Jittery) for _ in range(8)]
    delays = [await failed(dsn, run.id, 1) for run in runs]
    assert all(75 * SECOND <= delay <= 125 * SECOND for delay in delays)
    assert len(set(delays)) > 1


@conforms("S102")
async def test_a_run_that_waits_for_its_retry_says_so(mesh: Mesh, dsn: str) -> None:
    run = await mesh.start_run(Growing)
    await failed(dsn, run.id, 1)
    details = await history(mesh, run.id)

    assert details.status == "retrying"
    assert details.current_steps == ("work",)
    state = step_of(details, "work")
    assert state.status == "scheduled"
    assert state.due_at is not None
    assert state.due_at > await now(dsn)
    assert state.error is not None
    assert state.error.message == "attempt 1"
    assert attempts_of(details) == [(1, "failed", "attempt 1")]


async def test_the_idempotency_key_is_the_same_over_attempts(mesh: Mesh, probe: Probe) -> None:
    first, second = await play(mesh, Keys), await play(mesh, Keys)
    assert first.status == "completed"
    expected = [f"{n} {run.id}:work" for run in (first, second) for n in (1, 2, 3)]
    assert probe.calls == expected


async def test_retry_later_says_when(mesh: Mesh, dsn: str) -> None:
    run = await mesh.start_run(Later)
    for number in (1, 2):
        assert await failed(dsn, run.id, number) == 40 * SECOND
        await advance(dsn, 40 * SECOND)
    details = await ended(mesh, run.id)

    assert details.output(Later.work) == 3
    assert attempts_of(details)[0] == (1, "failed", "the bank is closed")


async def test_retry_later_is_a_failure_without_a_policy(mesh: Mesh) -> None:
    run = await play(mesh, LaterWithoutPolicy)
    assert run.status == "failed"
    assert message_of(run) == "the bank is closed"


@conforms("S105")
@pytest.mark.parametrize("workflow", [StopOn, NotRetryable])
async def test_some_failures_are_final(mesh: Mesh, workflow: type[Workflow[NoPayload]]) -> None:
    run = await play(mesh, workflow)
    assert run.status == "failed"
    assert attempts_of(run) == [(1, "failed", "attempt 1")]


@conforms("S69", "S99")
async def test_the_last_attempt_s_error_is_the_run_s(mesh: Mesh) -> None:
    run = await play(mesh, Exhausted)

    assert run.status == "failed"
    assert [number for number, *_ in attempts_of(run)] == [1, 2, 3]
    assert run.error is not None
    assert (run.error.message, run.error.code, run.error.attempt) == ("attempt 3", "broken", 3)
    assert [a.error and a.error.details for a in step_of(run, "work").attempts] == [
        {"at": 1},
        {"at": 2},
        {"at": 3},
    ]


@conforms("S95")
async def test_an_error_route_is_taken_after_the_last_attempt(mesh: Mesh) -> None:
    run = await play(mesh, ExhaustedWithRoute)
    assert run.status == "completed"
    assert run.output(ExhaustedWithRoute.rescue) == "fine"
    assert [status for _, status, _ in attempts_of(run)] == ["failed", "failed"]


@conforms("S82")
async def test_an_early_job_is_put_back(mesh: Mesh, dsn: str) -> None:
    run = await mesh.start_run(Growing)
    await failed(dsn, run.id, 1)
    await wake_jobs(dsn)

    async def is_back() -> bool:
        job = await every(
            dsn, "select 1 from oban_jobs where state = 'scheduled' and meta ? 'snoozed'"
        )
        return bool(job)

    await eventually(is_back)
    details = await history(mesh, run.id)
    assert attempts_of(details) == [(1, "failed", "attempt 1")]
    assert details.status == "retrying"
