"""Metrics of a mesh: what is counted, in which units, by what."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import Metric

from squid_mesh import Mesh
from squid_mesh.runtime.ledger import Ledger
from tests.clock import advance, every
from tests.integration.observing import (
    HOUR,
    WORKFLOWS,
    Bodies,
    Broken,
    Flaky,
    Held,
    Napping,
    Reviewed,
    Sdk,
    Slow,
)
from tests.meshes import Probe, ended, eventually, on_host, play


@pytest.fixture
def sdk() -> Sdk:
    return Sdk()


@pytest.fixture
async def mesh(dsn: str, probe: Probe, sdk: Sdk) -> AsyncGenerator[Mesh]:
    async with measured(dsn, probe, sdk) as mesh:
        yield mesh


@asynccontextmanager
async def measured(dsn: str, probe: Probe, sdk: Sdk, **options: Any) -> AsyncGenerator[Mesh]:
    observers = [sdk.instrument()]
    async with on_host(dsn, WORKFLOWS, resources=[probe], observers=observers, **options) as mesh:
        yield mesh


async def told(sdk: Sdk, name: str, *key: str) -> Any:
    """The point of a metric, once it has one: some of it is told after others see it."""

    async def is_told() -> bool:
        return key in sdk.points(name)

    await eventually(is_told)
    return sdk.points(name)[key]


async def test_runs_by_workflow_and_status(mesh: Mesh, sdk: Sdk) -> None:
    for workflow in (Broken, Broken, Bodies):
        await play(mesh, workflow)
    await told(sdk, "squid_mesh.runs.ended", "completed", "manual", "Bodies")
    assert sdk.counts("squid_mesh.runs.started") == {
        ("manual", "Broken"): 2,
        ("manual", "Bodies"): 1,
    }
    ended_runs = {("failed", "manual", "Broken"): 2, ("completed", "manual", "Bodies"): 1}
    assert sdk.counts("squid_mesh.runs.ended") == ended_runs
    assert sdk.counts("squid_mesh.run.duration") == ended_runs


async def test_a_replay_is_a_run_that_was_started(mesh: Mesh, sdk: Sdk) -> None:
    run = await play(mesh, Broken)
    await mesh.replay_run(run.id)
    assert sdk.counts("squid_mesh.runs.started") == {("manual", "Broken"): 2}


async def test_steps_by_status(mesh: Mesh, sdk: Sdk) -> None:
    await play(mesh, Flaky)
    await told(sdk, "squid_mesh.runs.ended", "completed", "manual", "Flaky")
    assert sdk.counts("squid_mesh.steps") == {
        ("work", "started", "Flaky"): 2,
        ("work", "failed", "Flaky"): 1,
        ("work", "retry_scheduled", "Flaky"): 1,
        ("work", "completed", "Flaky"): 1,
    }
    assert sdk.counts("squid_mesh.step.duration") == {
        ("StepError", "work", "failed", "Flaky"): 1,
        ("work", "completed", "Flaky"): 1,
    }


async def test_a_runs_duration_has_its_waits_in_it(mesh: Mesh, sdk: Sdk, dsn: str) -> None:
    run = await mesh.start_run(Napping)
    await told(sdk, "squid_mesh.steps", "nap", "slept", "Napping")
    await advance(dsn, HOUR)
    await ended(mesh, run.id)
    point = await told(sdk, "squid_mesh.run.duration", "completed", "manual", "Napping")
    assert point.sum >= HOUR.total_seconds()
    assert sdk.points("squid_mesh.step.duration")["work", "completed", "Napping"].sum < 60


async def test_how_long_a_step_was_ready_before_it_was_claimed(
    dsn: str, probe: Probe, sdk: Sdk
) -> None:
    """By the database's clock; only of those that a job had to come for."""
    async with measured(dsn, probe, sdk, queues={}) as mesh:
        run = await mesh.start_run(Bodies)
    await advance(dsn, HOUR)
    async with measured(dsn, probe, sdk) as mesh:
        await ended(mesh, run.id)
    points = sdk.points("squid_mesh.queue.wait_time")
    of_the_run = {point for point in points if point[1] != "Daily"}  # which that hour may bring
    assert of_the_run == {("on_loop", "Bodies")}
    waited = points["on_loop", "Bodies"].sum
    assert HOUR.total_seconds() <= waited < HOUR.total_seconds() + 60


async def test_a_wait_that_is_over_has_waited_since_then_only(
    mesh: Mesh, sdk: Sdk, dsn: str
) -> None:
    run = await mesh.start_run(Napping)
    await told(sdk, "squid_mesh.steps", "nap", "slept", "Napping")
    await advance(dsn, HOUR + timedelta(minutes=5))
    await ended(mesh, run.id)
    point = sdk.points("squid_mesh.queue.wait_time")["nap", "Napping"]
    assert 300 <= point.sum < 360


async def test_how_long_somebody_took_to_decide(mesh: Mesh, sdk: Sdk, dsn: str) -> None:
    run = await mesh.start_run(Reviewed)
    await told(sdk, "squid_mesh.steps", "review", "paused", "Reviewed")
    await every(dsn, "update squid_mesh.clock set shift = interval '10 minutes'")
    await mesh.approve_run(run.id, actor="ada")
    point = sdk.points("squid_mesh.decision.wait_time")["approved", "review", "Reviewed"]
    assert 600 <= point.sum < 660
    whole = await told(sdk, "squid_mesh.run.duration", "completed", "manual", "Reviewed")
    assert 600 <= whole.sum < 660


async def test_flushes_by_kind(mesh: Mesh, sdk: Sdk) -> None:
    for run in await asyncio.gather(*(mesh.start_run(Broken) for _ in range(8))):
        await ended(mesh, run.id)
    sizes = sdk.points("squid_mesh.flush.records")
    durations = sdk.points("squid_mesh.flush.duration")
    assert set(sizes) == set(durations) == {("starts",), ("claims",), ("progress",)}
    for kind in sizes:
        assert sizes[kind].count == durations[kind].count > 0
        assert durations[kind].min > 0
    assert sizes["starts",].sum == 8
    assert sizes["claims",].sum >= 8
    assert sizes["progress",].max > 1, "progress is written in groups"


async def test_recoveries(dsn: str, probe: Probe, sdk: Sdk) -> None:
    async with measured(dsn, probe, Sdk()) as leaving:
        run = await leaving.start_run(Slow)
        await probe.begun.wait()
    probe.gate.set()
    async with measured(dsn, probe, sdk) as heir:
        await ended(heir, run.id)
    assert sdk.counts("squid_mesh.recoveries") == {("retry", "work", "Slow"): 1}


async def test_steps_that_had_lost_their_job(dsn: str, probe: Probe, sdk: Sdk) -> None:
    async with measured(dsn, probe, sdk, queues={}) as starting:
        run = await starting.start_run(Broken)
    await every(dsn, "delete from oban_jobs")
    async with measured(dsn, probe, sdk, overdue=timedelta(seconds=0.1)) as mesh:
        await ended(mesh, run.id)
    assert sdk.counts("squid_mesh.recovery.requeued") == {(): 1}


async def test_the_oldest_ready_step(dsn: str, probe: Probe, sdk: Sdk) -> None:
    """Nobody serves the queue, and the step waits: for as long as the database's clock says."""
    seldom = {"heartbeat": timedelta(seconds=0.1), "overdue": timedelta(days=1)}
    async with measured(dsn, probe, sdk, queues={}, **seldom) as mesh:
        await mesh.start_run(Broken)
        await told(sdk, "squid_mesh.queue.oldest_ready")
        assert sdk.points("squid_mesh.queue.oldest_ready")[()].value < 60
        await every(dsn, "update squid_mesh.clock set shift = interval '10 minutes'")

        async def has_grown() -> bool:
            return bool(sdk.points("squid_mesh.queue.oldest_ready")[()].value >= 600)

        await eventually(has_grown)


async def test_nothing_is_ready(dsn: str, probe: Probe, sdk: Sdk) -> None:
    async with measured(dsn, probe, sdk, heartbeat=timedelta(seconds=0.1)) as mesh:
        run = await mesh.start_run(Held)
        await told(sdk, "squid_mesh.steps", "gate", "paused", "Held")
        await told(sdk, "squid_mesh.queue.oldest_ready")

        async def is_nothing() -> bool:
            return bool(sdk.points("squid_mesh.queue.oldest_ready")[()].value == 0)

        await eventually(is_nothing)
        await mesh.cancel_run(run.id)


async def test_the_oldest_ready_step_is_read_only_when_somebody_collects(
    dsn: str, probe: Probe, sdk: Sdk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[float] = []
    sweeps: list[int] = []
    find, requeue = Ledger.find_oldest_ready, Ledger.requeue_overdue

    async def counted(self: Ledger) -> float:
        reads.append(await find(self))
        return reads[-1]

    async def swept(self: Ledger, overdue: float) -> int:
        sweeps.append(await requeue(self, overdue))
        return sweeps[-1]

    monkeypatch.setattr(Ledger, "find_oldest_ready", counted)
    monkeypatch.setattr(Ledger, "requeue_overdue", swept)

    async def sweeps_on() -> None:
        before = len(sweeps)

        async def have_been() -> bool:
            return len(sweeps) >= before + 3

        await eventually(have_been)

    async with measured(dsn, probe, sdk, heartbeat=timedelta(seconds=0.05)):
        await sweeps_on()
        assert reads == []
        sdk.points("squid_mesh.queue.oldest_ready")
        await sweeps_on()
        assert reads == [0.0]


UNITS = {
    "squid_mesh.runs.started": "{run}",
    "squid_mesh.runs.ended": "{run}",
    "squid_mesh.run.duration": "s",
    "squid_mesh.steps": "{attempt}",
    "squid_mesh.step.duration": "s",
    "squid_mesh.queue.wait_time": "s",
    "squid_mesh.flush.records": "{record}",
    "squid_mesh.flush.duration": "s",
}


async def test_metrics_have_units_and_say_what_they_are(mesh: Mesh, sdk: Sdk) -> None:
    await play(mesh, Broken)
    await told(sdk, "squid_mesh.run.duration", "failed", "manual", "Broken")
    metrics = collected(sdk)
    assert {metric.name: metric.unit for metric in metrics if metric.name in UNITS} == UNITS
    assert all(metric.description for metric in metrics)


async def test_no_metric_has_an_attribute_that_there_are_many_of(mesh: Mesh, sdk: Sdk) -> None:
    run = await play(mesh, Bodies)
    for metric in collected(sdk):
        for point in metric.data.data_points:
            assert str(run.id) not in map(str, (point.attributes or {}).values())


def collected(sdk: Sdk) -> list[Metric]:
    data = sdk.metrics.get_metrics_data()
    assert data is not None
    return [
        metric
        for resource_metrics in data.resource_metrics
        for scope in resource_metrics.scope_metrics
        for metric in scope.metrics
    ]
