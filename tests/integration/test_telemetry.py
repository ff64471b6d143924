"""What observers hear: in which order, with what in it, and never before it is true."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection

from squid_mesh import (
    Constant,
    Mesh,
    NoPayload,
    Retry,
    RetryLater,
    StepContext,
    StepError,
    Workflow,
    complete,
    context,
    pause,
    resource,
    step,
    wait,
)
from squid_mesh.runtime import drive
from squid_mesh.telemetry import (
    RunCancelRequested,
    RunCreated,
    RunEnded,
    RunEvent,
    StepCompleted,
    StepEvent,
    StepFailed,
    StepInterrupted,
    StepPaused,
    StepRefused,
    StepRetryScheduled,
    StepSlept,
    StepStarted,
)
from tests.clock import advance, every, one
from tests.conformance import conforms
from tests.meshes import Probe, Workflows, ended, eventually, on_host, play

HOUR = timedelta(hours=1)


async def fine() -> str:
    return "fine"


async def fail_once(at: StepContext) -> str:
    if at.attempt == 1:
        raise StepError("not yet", code="early")
    return "fine"


async def come_later(at: StepContext) -> str:
    if at.attempt == 1:
        raise RetryLater(HOUR)
    return "fine"


async def broken() -> None:
    raise ValueError("broken")


async def hold(probe: Probe) -> None:
    await probe.hold("held")


async def hold_and_break(probe: Probe) -> None:
    await probe.hold("held")
    raise ValueError("broken")


class Straight(Workflow[NoPayload]):
    first = step(fine).takes()
    second = step(fine).takes()
    flow = first >> second >> complete


class Flaky(Workflow[NoPayload]):
    work = step(fail_once, retry=Retry(2)).takes(context)


class Later(Workflow[NoPayload]):
    work = step(come_later, retry=Retry(2, Constant(timedelta(seconds=1)))).takes(context)


class Broken(Workflow[NoPayload]):
    work = step(broken).takes()
    flow = work >> complete


class Routed(Workflow[NoPayload]):
    work = step(broken).takes()
    rescue = step(fine).takes()
    flow = (work >> complete, work.on_error >> rescue >> complete)


class Napping(Workflow[NoPayload]):
    nap = wait(HOUR)
    work = step(fine, after=[nap]).takes()


class Held(Workflow[NoPayload]):
    gate = pause()
    flow = gate >> complete


class Slow(Workflow[NoPayload]):
    work = step(hold).takes(resource(Probe))
    last = step(fine).takes()
    flow = work >> last >> complete


class SlowAndFlaky(Workflow[NoPayload]):
    work = step(hold_and_break, retry=Retry(3)).takes(resource(Probe))


class AtMostOnce(Workflow[NoPayload]):
    work = step(hold, on_interrupt="fail").takes(resource(Probe))
    flow = work >> complete


class TwoRoots(Workflow[NoPayload]):
    left = step(fine).takes()
    right = step(fine).takes()
    both = step(fine, after=[left, right]).takes()


WORKFLOWS: Workflows = [
    *(Straight, Flaky, Later, Broken, Routed, Napping, Held),
    *(Slow, SlowAndFlaky, AtMostOnce, TwoRoots),
]

type Told = tuple[object, ...]


class Heard:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.events: list[RunEvent] = []

    def __call__(self, event: RunEvent) -> None:
        self.events.append(event)

    def of(self, run_id: UUID) -> list[Told]:
        """What was told of a run: each event's type and content, but for how long it took."""
        return [told(event) for event in self._of(run_id)]

    def kinds(self, run_id: UUID) -> list[type[RunEvent]]:
        return [type(event) for event in self._of(run_id)]

    def _of(self, run_id: UUID) -> list[RunEvent]:
        """Its creation first: a first step may begin before its run's starter has its answer."""
        events = [event for event in self.events if event.run_id == run_id]
        return sorted(events, key=lambda event: not isinstance(event, RunCreated))


def told(event: RunEvent) -> Told:
    left_out = {"run_id", "workflow", "duration", "waited", "at", "trace"}
    if not isinstance(event, RunCreated):
        left_out.add("trigger")
    content = [getattr(event, f.name) for f in fields(event) if f.name not in left_out]
    return (type(event), *content)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def mesh(dsn: str, probe: Probe, heard: Heard) -> AsyncGenerator[Mesh]:
    async with observed(dsn, probe, heard) as mesh:
        yield mesh


@asynccontextmanager
async def observed(
    dsn: str, probe: Probe, *observers: Callable[[RunEvent], object], **options: Any
) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS, resources=[probe], observers=observers, **options) as mesh:
        yield mesh


async def has_step(dsn: str, run_id: UUID, name: str, status: str) -> None:
    """Wait until a step stands somewhere, and its driver has let go of it."""

    async def stands() -> bool:
        query = "select 1 from squid_mesh.steps where run_id = %s and step = %s and status = %s"
        return bool(await every(dsn, query, run_id, name, status))

    await eventually(stands)


async def heard_of(heard: Heard, run_id: UUID, kind: type[RunEvent]) -> None:
    """Wait until an event was told."""

    async def is_told() -> bool:
        return kind in heard.kinds(run_id)

    await eventually(is_told)


# in order


@conforms("S176", "S178", "S179", "S181")
async def test_a_run_that_completes(mesh: Mesh, heard: Heard) -> None:
    run = await play(mesh, Straight)
    assert heard.of(run.id) == [
        (RunCreated, "manual"),
        (StepStarted, "first", 1),
        (StepCompleted, "first", 1),
        (StepStarted, "second", 1),
        (StepCompleted, "second", 1),
        (RunEnded, "completed"),
    ]
    assert {event.workflow for event in heard.events} == {"Straight"}


@conforms("S177")
async def test_durations_are_those_of_the_attempts(mesh: Mesh, heard: Heard, probe: Probe) -> None:
    run = await mesh.start_run(Slow)
    await probe.begun.wait()
    (begun,) = await one(mesh_dsn(mesh), "select clock_timestamp()")
    (now,) = await one(mesh_dsn(mesh), "select clock_timestamp()")
    probe.gate.set()
    await ended(mesh, run.id)
    slow, quick = (e.duration for e in heard.events if isinstance(e, StepCompleted))
    assert slow >= (now - begun).total_seconds() > 0
    assert quick >= 0


def mesh_dsn(mesh: Mesh) -> str:
    return mesh._settings.dsn


@conforms("S176", "S179", "S181")
async def test_a_retry(mesh: Mesh, heard: Heard) -> None:
    run = await play(mesh, Flaky)
    assert heard.of(run.id) == [
        (RunCreated, "manual"),
        (StepStarted, "work", 1),
        (StepFailed, "work", 1, "StepError", "early"),
        (StepRetryScheduled, "work", 1, 0.0),
        (StepStarted, "work", 2),
        (StepCompleted, "work", 2),
        (RunEnded, "completed"),
    ]


@conforms("S177")
async def test_a_body_that_asks_to_be_retried_later(mesh: Mesh, dsn: str, heard: Heard) -> None:
    run = await mesh.start_run(Later)
    await heard_of(heard, run.id, StepRetryScheduled)
    assert heard.of(run.id) == [
        (RunCreated, "manual"),
        (StepStarted, "work", 1),
        (StepFailed, "work", 1, "RetryLater", "retry_later"),
        (StepRetryScheduled, "work", 1, HOUR.total_seconds()),
    ]
    await advance(dsn, HOUR)
    await ended(mesh, run.id)
    assert heard.of(run.id)[4:] == [
        (StepStarted, "work", 2),
        (StepCompleted, "work", 2),
        (RunEnded, "completed"),
    ]


@conforms("S179", "S181")
async def test_a_failure_without_a_route(mesh: Mesh, heard: Heard) -> None:
    run = await play(mesh, Broken)
    assert heard.of(run.id) == [
        (RunCreated, "manual"),
        (StepStarted, "work", 1),
        (StepFailed, "work", 1, "ValueError", None),
        (RunEnded, "failed"),
    ]


@conforms("S181")
async def test_a_failure_with_a_route(mesh: Mesh, heard: Heard) -> None:
    run = await play(mesh, Routed)
    assert heard.of(run.id) == [
        (RunCreated, "manual"),
        (StepStarted, "work", 1),
        (StepFailed, "work", 1, "ValueError", None),
        (StepStarted, "rescue", 1),
        (StepCompleted, "rescue", 1),
        (RunEnded, "completed"),
    ]


async def test_a_wait(mesh: Mesh, dsn: str, heard: Heard) -> None:
    run = await mesh.start_run(Napping)
    await heard_of(heard, run.id, StepSlept)
    await advance(dsn, HOUR)
    await ended(mesh, run.id)
    assert heard.of(run.id) == [
        (RunCreated, "manual"),
        (StepStarted, "nap", 1),
        (StepSlept, "nap", 1, HOUR.total_seconds()),
        (StepStarted, "nap", 1),
        (StepCompleted, "nap", 1),
        (StepStarted, "work", 1),
        (StepCompleted, "work", 1),
        (RunEnded, "completed"),
    ]


@conforms("S182")
async def test_a_pause(mesh: Mesh, heard: Heard) -> None:
    run = await mesh.start_run(Held)
    await heard_of(heard, run.id, StepPaused)
    assert heard.of(run.id) == [
        (RunCreated, "manual"),
        (StepStarted, "gate", 1),
        (StepPaused, "gate", 1),
    ]


# cancelling


async def test_cancelling_a_run_with_a_body(mesh: Mesh, heard: Heard, probe: Probe) -> None:
    run = await mesh.start_run(Slow)
    await probe.begun.wait()
    await mesh.cancel_run(run.id)
    assert heard.of(run.id)[2:] == [(RunCancelRequested, "cancelling")]
    probe.gate.set()
    await ended(mesh, run.id)
    assert heard.of(run.id)[3:] == [(StepCompleted, "work", 1), (RunEnded, "cancelled")]


async def test_no_retry_is_told_that_a_cancellation_prevents(
    mesh: Mesh, heard: Heard, probe: Probe
) -> None:
    run = await mesh.start_run(SlowAndFlaky)
    await probe.begun.wait()
    await mesh.cancel_run(run.id)
    probe.gate.set()
    await ended(mesh, run.id)
    assert heard.of(run.id)[2:] == [
        (RunCancelRequested, "cancelling"),
        (StepFailed, "work", 1, "ValueError", None),
        (RunEnded, "cancelled"),
    ]


async def test_cancelling_a_run_that_waits_ends_it(mesh: Mesh, heard: Heard) -> None:
    run = await mesh.start_run(Held)
    await heard_of(heard, run.id, StepPaused)
    for _ in range(2):
        await mesh.cancel_run(run.id)
    assert heard.of(run.id)[3:] == [(RunCancelRequested, "cancelled"), (RunEnded, "cancelled")]


@pytest.mark.parametrize("commits", [True, False])
async def test_a_cancellation_in_a_transaction_is_not_told_before_it_is_true(
    mesh: Mesh, dsn: str, heard: Heard, probe: Probe, *, commits: bool
) -> None:
    run = await mesh.start_run(Slow)
    await probe.begun.wait()
    async with (
        await AsyncConnection.connect(dsn) as host,
        host.transaction(force_rollback=not commits),
    ):
        await mesh.cancel_run(run.id, conn=host)
        assert heard.of(run.id)[2:] == []
    probe.gate.set()
    await ended(mesh, run.id)
    assert (RunCancelRequested in heard.kinds(run.id)) <= commits
    assert heard.of(run.id)[-1] == (RunEnded, "cancelled" if commits else "completed")


# what every event has


async def test_events_are_dated_and_say_the_trigger(mesh: Mesh, heard: Heard) -> None:
    before = datetime.now(UTC)
    run = await play(mesh, Flaky)
    moments = [event.at for event in heard.events if event.run_id == run.id]
    assert moments == sorted(moments)
    assert before <= moments[0] <= moments[-1] <= datetime.now(UTC)
    assert {event.trigger for event in heard.events} == {"manual"}


async def test_a_cancelled_run_says_how_long_it_took(mesh: Mesh, dsn: str, heard: Heard) -> None:
    run = await mesh.start_run(Held)
    await heard_of(heard, run.id, StepPaused)
    await advance(dsn, HOUR)
    await mesh.cancel_run(run.id)
    assert HOUR.total_seconds() <= end_of(heard, run.id).duration < HOUR.total_seconds() + 60


async def test_a_run_that_ends_with_a_recovery_says_how_long_it_took(
    dsn: str, probe: Probe, heard: Heard
) -> None:
    async with observed(dsn, probe) as leaving:
        run = await leaving.start_run(AtMostOnce)
        await probe.begun.wait()
    await advance(dsn, HOUR)
    async with observed(dsn, probe, heard) as heir:
        await ended(heir, run.id)
        await heard_of(heard, run.id, RunEnded)
    assert HOUR.total_seconds() <= end_of(heard, run.id).duration < HOUR.total_seconds() + 60
    assert {event.trigger for event in heard.events} == {"manual"}


def end_of(heard: Heard, run_id: UUID) -> RunEnded:
    (end,) = (e for e in heard.events if isinstance(e, RunEnded) and e.run_id == run_id)
    return end


# starting in a host's transaction


@conforms("S180")
async def test_a_start_in_a_transaction_is_told_by_the_first_claim(
    mesh: Mesh, dsn: str, heard: Heard
) -> None:
    async with await AsyncConnection.connect(dsn) as host, host.transaction():
        runs = await mesh.start_runs(Straight, [{}, {}], conn=host)
        runs.append(await mesh.start_run(Straight, conn=host))
        assert heard.events == []
    for run in runs:
        await ended(mesh, run.id)
        assert heard.of(run.id)[:2] == [(RunCreated, "manual"), (StepStarted, "first", 1)]
        assert heard.kinds(run.id).count(RunCreated) == 1


async def test_a_start_that_is_rolled_back_is_never_told(
    mesh: Mesh, dsn: str, heard: Heard
) -> None:
    async with await AsyncConnection.connect(dsn) as host, host.transaction(force_rollback=True):
        gone = await mesh.start_run(Straight, conn=host)
    run = await play(mesh, Straight)
    assert gone.id not in {event.run_id for event in heard.events}
    assert RunEnded in heard.kinds(run.id)


async def test_of_several_first_steps_one_tells_the_start(
    mesh: Mesh, dsn: str, heard: Heard
) -> None:
    async with await AsyncConnection.connect(dsn) as host, host.transaction():
        runs = await mesh.start_runs(TwoRoots, [{}] * 20, conn=host)
    for run in runs:
        await ended(mesh, run.id)
        assert heard.kinds(run.id).count(RunCreated) == 1
        assert heard.kinds(run.id)[0] is RunCreated


async def test_a_known_key_tells_nothing(mesh: Mesh, heard: Heard) -> None:
    run = await mesh.start_run(Held, key="a key")
    await heard_of(heard, run.id, StepPaused)
    before = list(heard.events)
    again = await mesh.start_run(Held, key="a key")
    assert again.id == run.id
    assert heard.events == before
    assert heard.kinds(run.id).count(RunCreated) == 1


# what dies


async def test_an_interrupted_step(dsn: str, probe: Probe, heard: Heard) -> None:
    async with observed(dsn, probe) as leaving:
        run = await leaving.start_run(Slow)
        await probe.begun.wait()
    probe.gate.set()
    async with observed(dsn, probe, heard, queues={}):  # nobody begins it before that is told

        async def is_told() -> bool:
            return StepInterrupted in heard.kinds(run.id)

        await eventually(is_told)
    async with observed(dsn, probe, heard) as heir:
        await ended(heir, run.id)
    assert heard.of(run.id)[:3] == [
        (StepInterrupted, "work", 1, "retry"),
        (StepStarted, "work", 2),
        (StepCompleted, "work", 2),
    ]
    assert heard.of(run.id)[-1] == (RunEnded, "completed")


async def test_an_interrupted_step_that_ends_its_run(dsn: str, probe: Probe, heard: Heard) -> None:
    async with observed(dsn, probe) as leaving:
        run = await leaving.start_run(AtMostOnce)
        await probe.begun.wait()
    async with observed(dsn, probe, heard) as heir:
        await ended(heir, run.id)
        await play(heir, Straight)  # whatever is told of the other is told by then
    assert heard.of(run.id) == [
        (StepInterrupted, "work", 1, "fail"),
        (RunEnded, "failed"),
    ]


async def test_an_interrupted_step_of_a_cancelled_run(dsn: str, probe: Probe, heard: Heard) -> None:
    async with observed(dsn, probe) as leaving:
        run = await leaving.start_run(Slow)
        await probe.begun.wait()
        await leaving.cancel_run(run.id)
    async with observed(dsn, probe, heard) as heir:
        await ended(heir, run.id)
        await play(heir, Straight)  # whatever is told of the other is told by then
    assert heard.of(run.id) == [
        (StepInterrupted, "work", 1, "cancel"),
        (RunEnded, "cancelled"),
    ]


async def test_a_late_result_is_told_as_refused(dsn: str, probe: Probe, heard: Heard) -> None:
    late = Heard()
    patient: dict[str, Any] = {"heartbeat": HOUR, "lease": 2 * HOUR, "blocked": 4 * HOUR}
    async with observed(dsn, probe, late, name="late", **patient) as mesh:
        run = await mesh.start_run(Slow)
        await probe.begun.wait()
        await fall_silent(dsn)
        async with observed(dsn, probe, heard, name="heir", **patient) as heir:
            await probe.has_begun(2)
            probe.gate.set()
            await ended(heir, run.id)
            await heard_of(late, run.id, StepRefused)
    assert late.of(run.id) == [
        (RunCreated, "manual"),
        (StepStarted, "work", 1),
        (StepRefused, "work", 1),
    ]
    assert heard.of(run.id)[:3] == [
        (StepInterrupted, "work", 1, "retry"),
        (StepStarted, "work", 2),
        (StepCompleted, "work", 2),
    ]


async def fall_silent(dsn: str) -> None:
    """Make the only process look dead, once its first heartbeat is over."""

    async def beaten() -> bool:
        return bool(
            await every(dsn, "select 1 from squid_mesh.workers where alive_at > started_at")
        )

    await eventually(beaten)
    await every(dsn, "update squid_mesh.workers set alive_at = now() - interval '3 hours'")


# when


STEP_IS = {
    StepStarted: "running",
    StepCompleted: "completed",
    StepSlept: "scheduled",
    StepPaused: "paused",
}


class Checking:
    """An observer that looks whether the database says so too."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self.checked: set[type[RunEvent]] = set()
        self.wrong: list[RunEvent] = []

    def __call__(self, event: RunEvent) -> None:
        self.checked.add(type(event))
        if not self._is_true(event):
            self.wrong.append(event)

    def close(self) -> None:
        self._connection.close()

    def _is_true(self, event: RunEvent) -> bool:
        match event:
            case RunEnded(status=status):
                return self._finds("runs where id = %s and status = %s", event.run_id, status)
            case (
                StepFailed(step=name, attempt=number)
                | StepRetryScheduled(step=name, attempt=number)
            ):  # which may have begun again since
                attempt = "attempts where run_id = %s and step = %s and number = %s"
                return self._finds(attempt, event.run_id, name, number)
            case StepEvent(step=name):
                stands = "steps where run_id = %s and step = %s and status = %s"
                return self._finds(stands, event.run_id, name, STEP_IS[type(event)])
            case _:
                return self._finds("runs where id = %s", event.run_id)

    def _finds(self, where: str, *parameters: object) -> bool:
        query = f"select 1 from squid_mesh.{where}"  # noqa: S608  # this test's own text
        return self._connection.execute(query.encode(), parameters).fetchone() is not None


@conforms("S180")
async def test_what_is_told_is_committed(dsn: str, probe: Probe) -> None:
    checking = Checking(dsn)
    try:
        async with observed(dsn, probe, checking) as mesh:
            for workflow in (Straight, Flaky, Broken, Routed, TwoRoots):
                await play(mesh, workflow)
            held = await mesh.start_run(Held)
            await has_step(dsn, held.id, "gate", "paused")
            nap = await mesh.start_run(Napping)
            await has_step(dsn, nap.id, "nap", "scheduled")
    finally:
        checking.close()
    assert checking.wrong == []
    assert checking.checked >= {RunCreated, RunEnded, StepFailed, StepRetryScheduled, *STEP_IS}


# observers


async def test_an_observer_that_raises_is_logged_and_changes_nothing(
    dsn: str, probe: Probe, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    def raising(event: RunEvent) -> None:
        raise RuntimeError(type(event).__name__)

    with caplog.at_level(logging.ERROR, "squid_mesh.telemetry"):
        async with observed(dsn, probe, raising, heard) as mesh:
            run = await play(mesh, Straight)
    assert run.status == "completed"
    kinds = heard.kinds(run.id)
    assert len(kinds) == 6
    assert [r.getMessage() for r in caplog.records if r.name == "squid_mesh.telemetry"] == [
        f"an observer failed at {kind.__name__}" for kind in kinds
    ]
    assert all(r.exc_info for r in caplog.records if r.name == "squid_mesh.telemetry")


async def test_without_observers_no_events_are_made(
    dsn: str, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*_: object) -> None:
        pytest.fail("an event was made for nobody")

    monkeypatch.setattr(drive, "started", made)
    monkeypatch.setattr(drive, "recorded", made)
    async with observed(dsn, probe) as mesh:
        assert (await play(mesh, Straight)).status == "completed"
