"""Runs as traces: one for each, across processes and waits, linked with its caller's span."""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.span import TraceState
from psycopg import AsyncConnection

from squid_mesh import SETTLED, InvalidConfig, Mesh
from squid_mesh.integrations.otel import OpenTelemetry
from squid_mesh.telemetry import Instrument, RunEvent, Span, Starting, Work
from tests.clock import advance, every, one
from tests.integration.observing import (
    HOUR,
    WORKFLOWS,
    Bodies,
    Broken,
    Daily,
    Flaky,
    Held,
    Later,
    Napping,
    Reviewed,
    Sdk,
    Slow,
    fact,
    linked,
    span_id,
    trace_of,
    traces,
)
from tests.meshes import BOUND, Probe, ended, eventually, on_host, play


@pytest.fixture
def sdk() -> Sdk:
    return Sdk()


@pytest.fixture
async def mesh(dsn: str, probe: Probe, sdk: Sdk) -> AsyncGenerator[Mesh]:
    async with traced(dsn, probe, sdk.instrument()) as mesh:
        yield mesh


@asynccontextmanager
async def traced(
    dsn: str, probe: Probe, *observers: Instrument, **options: Any
) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS, resources=[probe], observers=observers, **options) as mesh:
        yield mesh


async def spans_of(sdk: Sdk, run_id: UUID, last: str) -> list[ReadableSpan]:
    """The spans of a run, once one has ended: some are told after others can see that it has."""

    async def has_ended() -> bool:
        return any(span.name == last for span in sdk.of(run_id))

    await eventually(has_ended)
    return sdk.of(run_id)


async def sleeps(dsn: str, run_id: UUID) -> None:
    """Wait until it is written that a run sleeps, which its span doesn't wait for."""
    asleep = "select 1 from squid_mesh.steps where run_id = %s and status = 'scheduled'"

    async def is_asleep() -> bool:
        return bool(await every(dsn, asleep, run_id))

    await eventually(is_asleep)


async def stored(dsn: str, run_id: UUID) -> str | None:
    (kept,) = await one(dsn, "select trace from squid_mesh.runs where id = %s", run_id)
    return None if kept is None else str(kept)


# a trace


async def test_a_run_is_one_trace_whose_root_is_its_start(mesh: Mesh, sdk: Sdk) -> None:
    run = await play(mesh, Bodies)
    start, *steps, end = await spans_of(sdk, run.id, "end Bodies")
    assert start.name == "start Bodies"
    assert start.parent is None
    assert start.kind is SpanKind.PRODUCER
    assert [span.name for span in steps] == [
        "step Bodies.on_loop",
        "step Bodies.thread",
        "step Bodies.transaction",
        "step Bodies.task",
    ]
    assert {span.kind for span in steps} == {SpanKind.CONSUMER}
    assert traces([start, *steps, end]) == {trace_of(start)}
    assert {span.parent.span_id for span in [*steps, end] if span.parent} == {span_id(start)}
    assert {span.status.status_code for span in [start, *steps, end]} == {StatusCode.UNSET}
    assert fact(start, "outcome") == "created"
    assert {fact(span, "outcome") for span in steps} == {"completed"}
    assert fact(end, "run.status") == "completed"


async def test_a_span_says_what_it_is_of(mesh: Mesh, sdk: Sdk) -> None:
    run = await play(mesh, Bodies)
    await spans_of(sdk, run.id, "end Bodies")
    of_run = {
        "squid_mesh.workflow.name": "Bodies",
        "squid_mesh.trigger.name": "manual",
        "squid_mesh.run.id": str(run.id),
        "messaging.system": "squid_mesh",
        "messaging.message.conversation_id": str(run.id),
    }
    assert sdk.named("start Bodies").attributes == of_run | {
        "squid_mesh.outcome": "created",
        "messaging.operation.name": "start",
        "messaging.operation.type": "send",
    }
    assert sdk.named("step Bodies.thread").attributes == of_run | {
        "squid_mesh.step.name": "thread",
        "squid_mesh.step.kind": "action",
        "squid_mesh.step.attempt": 1,
        "squid_mesh.outcome": "completed",
        "messaging.operation.name": "step",
        "messaging.operation.type": "process",
    }


async def test_a_body_runs_inside_its_span_wherever_it_runs(mesh: Mesh, sdk: Sdk) -> None:
    run = await play(mesh, Bodies)
    seen = {state.step: state.output for state in run.steps}
    for name in ("on_loop", "thread", "transaction", "task"):
        assert seen[name] == format(span_id(sdk.named(f"step Bodies.{name}")), "016x")


async def test_runs_have_traces_of_their_own(mesh: Mesh, sdk: Sdk) -> None:
    with sdk.tracer.start_as_current_span("request"):
        runs = await mesh.start_runs(Bodies, [{}, {}])
    for run in runs:
        await ended(mesh, run.id)
        assert len(traces(await spans_of(sdk, run.id, "end Bodies"))) == 1
    started = [s for s in sdk.spans.get_finished_spans() if s.name == "start Bodies"]
    assert len(traces([*started, sdk.named("request")])) == 3


async def test_a_start_and_its_callers_span_are_linked(mesh: Mesh, sdk: Sdk) -> None:
    with sdk.tracer.start_as_current_span("request"):
        run = await mesh.start_run(Held)
    request, start = sdk.named("request"), sdk.named("start Held")
    assert trace_of(request) != trace_of(start)
    assert linked(start) == {"caller": span_id(request)}
    assert linked(request) == {"run": span_id(start)}
    assert [fact(link, "run.id") for link in request.links] == [str(run.id)]  # type: ignore[arg-type]


async def test_a_start_without_a_caller_has_no_link(mesh: Mesh, sdk: Sdk) -> None:
    await mesh.start_run(Held)
    assert linked(sdk.named("start Held")) == {}


async def test_what_starts_a_mesh_is_no_parent_of_its_runs(
    dsn: str, probe: Probe, sdk: Sdk
) -> None:
    with sdk.tracer.start_as_current_span("start-up"):
        manager = traced(dsn, probe, sdk.instrument())
        mesh = await manager.__aenter__()
    run = await play(mesh, Bodies)
    spans = await spans_of(sdk, run.id, "end Bodies")
    await manager.__aexit__(None, None, None)
    assert trace_of(sdk.named("start-up")) not in traces(spans)
    assert [linked(span) for span in spans] == [{}] * len(spans)


async def test_a_known_key_is_held(mesh: Mesh, sdk: Sdk, dsn: str) -> None:
    run = await mesh.start_run(Held, key="a key")
    kept = await stored(dsn, run.id)
    await mesh.start_run(Held, key="a key")
    outcomes = [fact(span, "outcome") for span in sdk.spans.get_finished_spans()][:2]
    assert "created" in outcomes
    assert [
        fact(span, "outcome")
        for span in sdk.spans.get_finished_spans()
        if span.name == "start Held"
    ] == ["created", "held"]
    assert await stored(dsn, run.id) == kept


async def test_a_start_that_raises_is_an_error(mesh: Mesh, sdk: Sdk) -> None:
    await mesh.start_run(Flaky, {"token": "one"}, key="a key")
    with pytest.raises(Exception, match="a key"):
        await mesh.start_run(Flaky, {"token": "two"}, key="a key")
    wrong = [s for s in sdk.spans.get_finished_spans() if fact(s, "outcome") == "raised"]
    assert [span.status.status_code for span in wrong] == [StatusCode.ERROR]


# failures


async def test_a_failed_attempt_is_an_error_without_the_runs_secrets(mesh: Mesh, sdk: Sdk) -> None:
    run = await play(mesh, Flaky)
    _, failed, worked, end = await spans_of(sdk, run.id, "end Flaky")
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "StepError"
    assert fact(failed, "error.code") == "refused"
    (event,) = failed.events
    assert event.attributes is not None
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "StepError"
    assert "was refused" in str(event.attributes["exception.message"])
    assert "in fail_once" in str(event.attributes["exception.stacktrace"])
    assert "hunter2" not in failed.to_json()
    assert [fact(span, "step.attempt") for span in (failed, worked)] == [1, 2]
    assert worked.status.status_code is StatusCode.UNSET
    assert end.status.status_code is StatusCode.UNSET


async def test_messages_of_failures_can_be_kept_out(dsn: str, probe: Probe, sdk: Sdk) -> None:
    async with traced(dsn, probe, sdk.instrument(exceptions=False)) as mesh:
        run = await play(mesh, Broken)
        _, failed, _ = await spans_of(sdk, run.id, "end Broken")
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description is None
    assert failed.events == ()
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "ValueError"


async def test_a_run_that_fails_ends_with_an_error(mesh: Mesh, sdk: Sdk) -> None:
    run = await play(mesh, Broken)
    end = (await spans_of(sdk, run.id, "end Broken"))[-1]
    assert end.status.status_code is StatusCode.ERROR
    assert fact(end, "run.status") == "failed"


async def test_a_step_that_asks_to_come_later_is_no_error(mesh: Mesh, sdk: Sdk) -> None:
    run = await mesh.start_run(Later)
    put_off = (await spans_of(sdk, run.id, "step Later.work"))[-1]
    assert fact(put_off, "outcome") == "postponed"
    assert put_off.status.status_code is StatusCode.UNSET
    assert put_off.events == ()


async def test_a_body_that_is_cut_off_is_interrupted_and_recovered(
    dsn: str, probe: Probe, sdk: Sdk
) -> None:
    async with traced(dsn, probe, sdk.instrument()) as leaving:
        run = await leaving.start_run(Slow)
        await probe.begun.wait()
    probe.gate.set()
    async with traced(dsn, probe, sdk.instrument()) as heir:
        await ended(heir, run.id)
        await spans_of(sdk, run.id, "end Slow")
    assert [(span.name, fact(span, "outcome")) for span in sdk.of(run.id)] == [
        ("start Slow", "created"),
        ("step Slow.work", "interrupted"),
        ("recover Slow.work", None),
        ("step Slow.work", "completed"),
        ("end Slow", None),
    ]
    assert len(traces(sdk.of(run.id))) == 1
    assert fact(sdk.named("recover Slow.work"), "recovery.policy") == "retry"


# waiting


async def test_no_span_is_open_while_a_run_waits(mesh: Mesh, sdk: Sdk, dsn: str) -> None:
    run = await mesh.start_run(Napping)
    asleep = await spans_of(sdk, run.id, "step Napping.nap")
    assert [(span.name, fact(span, "outcome")) for span in asleep] == [
        ("start Napping", "created"),
        ("step Napping.before", "completed"),
        ("step Napping.nap", "slept"),
    ]
    await sleeps(dsn, run.id)
    await advance(dsn, HOUR)
    await ended(mesh, run.id)
    spans = await spans_of(sdk, run.id, "end Napping")
    assert [span.name for span in spans[3:]] == [
        "step Napping.nap",
        "step Napping.work",
        "end Napping",
    ]
    assert len(traces(spans)) == 1


async def test_a_decision_is_linked_with_whoever_makes_it(mesh: Mesh, sdk: Sdk) -> None:
    run = await mesh.start_run(Reviewed)
    await spans_of(sdk, run.id, "step Reviewed.review")
    await mesh.wait_for_run(run.id, until=SETTLED, timeout=BOUND)  # the span ends before it waits
    with sdk.tracer.start_as_current_span("review page"):
        await mesh.approve_run(run.id, actor="ada")
    decision = sdk.named("decide Reviewed.review")
    assert fact(decision, "decision") == "approved"
    assert linked(decision) == {"caller": span_id(sdk.named("review page"))}
    assert len(traces(await spans_of(sdk, run.id, "end Reviewed"))) == 1


async def test_a_deadline_decides_without_anybody(mesh: Mesh, sdk: Sdk, dsn: str) -> None:
    run = await mesh.start_run(Reviewed)
    await spans_of(sdk, run.id, "step Reviewed.review")
    await mesh.wait_for_run(run.id, until=SETTLED, timeout=BOUND)  # the span ends before it waits
    await advance(dsn, HOUR)
    await ended(mesh, run.id)
    spans = await spans_of(sdk, run.id, "end Reviewed")
    assert fact(sdk.named("decide Reviewed.review"), "decision") == "timed_out"
    assert len(traces(spans)) == 1


async def test_a_cancellation(mesh: Mesh, sdk: Sdk) -> None:
    run = await mesh.start_run(Held)
    await spans_of(sdk, run.id, "step Held.gate")
    with sdk.tracer.start_as_current_span("operator"):
        await mesh.cancel_run(run.id)
    spans = await spans_of(sdk, run.id, "end Held")
    assert len(traces(spans)) == 1
    assert linked(sdk.named("cancel Held")) == {"caller": span_id(sdk.named("operator"))}
    assert fact(sdk.named("end Held"), "run.status") == "cancelled"


# where runs come from


@pytest.mark.parametrize("commits", [True, False])
async def test_a_start_in_a_hosts_transaction_keeps_its_trace_with_the_run(
    mesh: Mesh, sdk: Sdk, dsn: str, *, commits: bool
) -> None:
    async with (
        await AsyncConnection.connect(dsn) as host,
        host.transaction(force_rollback=not commits),
    ):
        run = await mesh.start_run(Bodies, conn=host)
    start = sdk.named("start Bodies")
    if commits:
        await ended(mesh, run.id)
        assert traces(await spans_of(sdk, run.id, "end Bodies")) == {trace_of(start)}
    else:
        assert await every(dsn, "select 1 from squid_mesh.runs") == []
        assert sdk.of(run.id) == [start]


async def test_a_replay_is_linked_with_what_it_replays(mesh: Mesh, sdk: Sdk) -> None:
    first = await play(mesh, Broken)
    second = await mesh.replay_run(first.id)
    await ended(mesh, second.id)
    source, start = sdk.of(first.id)[0], (await spans_of(sdk, second.id, "end Broken"))[0]
    assert linked(start) == {"replayed": span_id(source)}
    assert trace_of(start) != trace_of(source)


async def test_a_cron_window_begins_a_trace(dsn: str, probe: Probe, sdk: Sdk) -> None:
    with sdk.tracer.start_as_current_span("start-up"):
        manager = traced(dsn, probe, sdk.instrument())
        mesh = await manager.__aenter__()
    await advance(dsn, timedelta(days=1))

    async def is_done() -> bool:
        return any(span.name == "end Daily" for span in sdk.spans.get_finished_spans())

    await eventually(is_done)
    (run,) = (await mesh.list_runs(workflow=Daily)).runs
    await manager.__aexit__(None, None, None)
    start, *_ = spans = sdk.of(run.id)
    assert len(traces(spans)) == 1
    assert linked(start) == {}
    assert run.window is not None
    assert fact(start, "window") == run.window.isoformat()
    assert fact(start, "trigger.name") == "at_nine"


async def test_a_run_that_was_started_untraced_still_has_spans(
    dsn: str, probe: Probe, sdk: Sdk
) -> None:
    async with on_host(dsn, WORKFLOWS, resources=[probe], queues={}) as plain:
        run = await plain.start_run(Bodies)
    assert await stored(dsn, run.id) is None
    async with traced(dsn, probe, sdk.instrument()) as mesh:
        await ended(mesh, run.id)
        spans = await spans_of(sdk, run.id, "end Bodies")
    assert spans[0].name == "step Bodies.on_loop"
    assert {span.parent for span in spans} == {None}


async def test_without_an_sdk_no_trace_is_kept(dsn: str, probe: Probe) -> None:
    async with traced(dsn, probe, OpenTelemetry()) as mesh:
        run = await play(mesh, Bodies)
    assert run.status == "completed"
    assert await stored(dsn, run.id) is None


async def test_a_run_that_isnt_sampled_stays_so(dsn: str, probe: Probe) -> None:
    off = Sdk(ParentBased(ALWAYS_OFF))
    async with traced(dsn, probe, off.instrument()) as mesh:
        run = await mesh.start_run(Napping)
        await sleeps(dsn, run.id)
    on = Sdk()
    on.tracers.sampler = ParentBased(on.sampler)
    await advance(dsn, HOUR)
    async with traced(dsn, probe, on.instrument()) as mesh:
        await ended(mesh, run.id)
    assert off.of(run.id) == on.of(run.id) == []
    _, _, _, flags = (await stored(dsn, run.id) or "").split("-")
    assert int(flags, 16) & 1 == 0


class Stating(Sampler):
    """Samples everything, and says so in the trace's state, as vendors' samplers do."""

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        sampled = Sdk().sampler.should_sample(*args, **kwargs)
        return SamplingResult(sampled.decision, sampled.attributes, TraceState([("vendor", "7")]))

    def get_description(self) -> str:
        return "Stating"


async def test_the_state_of_a_trace_is_kept_too(dsn: str, probe: Probe) -> None:
    stating = Sdk(ParentBased(Stating()))
    async with traced(dsn, probe, stating.instrument()) as mesh:
        run = await play(mesh, Broken)
        spans = await spans_of(stating, run.id, "end Broken")
    assert (await stored(dsn, run.id) or "").endswith(" vendor=7")
    assert [span.context.trace_state.get("vendor") for span in spans if span.context] == ["7"] * 3


async def test_one_trace_over_three_processes_and_a_wait(dsn: str, sdk: Sdk) -> None:
    """Started here, driven until it sleeps by another process, and to its end by a third."""
    async with on_host(dsn, [Napping], observers=[sdk.instrument()], queues={}) as mesh:
        with sdk.tracer.start_as_current_span("request"):
            run = await mesh.start_run(Napping)
        first = await driven(dsn, "step Napping.nap")
        await advance(dsn, HOUR)
        second = await driven(dsn, "end Napping")
        assert (await ended(mesh, run.id)).status == "completed"
    start = sdk.named("start Napping")
    spans = [*first, *second]
    assert [span["name"] for span in spans] == [
        "step Napping.before",
        "step Napping.nap",
        "step Napping.nap",
        "step Napping.work",
        "end Napping",
    ]
    assert len({span["process"] for span in spans}) == 2
    assert {span["trace"] for span in spans} == {format(trace_of(start), "032x")}
    assert {span["parent"] for span in spans} == {format(span_id(start), "016x")}
    assert linked(start) == {"caller": span_id(sdk.named("request"))}


async def driven(dsn: str, until: str) -> list[dict[str, Any]]:
    """The spans that a process makes until one has ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.tracing_process", dsn, until),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


# the port


class Faulty(Instrument):
    """Raises whatever it is asked for."""

    def __call__(self, event: RunEvent) -> None:
        raise RuntimeError(event)

    def begin_start(self, starting: Starting) -> Span:
        raise RuntimeError(starting)

    def begin_step(self, work: Work) -> Span:
        raise RuntimeError(work)

    def measure(self, measure: object) -> None:
        raise RuntimeError(measure)

    @property
    def wants_oldest_ready(self) -> bool:
        raise RuntimeError("wants")


class FaultySpan:
    @property
    def trace(self) -> str:
        raise RuntimeError("trace")

    def end(self, outcome: str, failure: object = None) -> None:
        raise RuntimeError(outcome, failure)


class FaultyLater(Instrument):
    """Raises once it is under way."""

    def begin_start(self, starting: Starting) -> Span:
        del starting
        return FaultySpan()

    def begin_step(self, work: Work) -> Span:
        del work
        return FaultySpan()


@pytest.mark.parametrize("instrument", [Faulty(), FaultyLater()], ids=["at once", "later"])
async def test_an_instrument_that_raises_is_logged_and_changes_nothing(
    dsn: str, probe: Probe, caplog: pytest.LogCaptureFixture, instrument: Instrument
) -> None:
    async with traced(dsn, probe, instrument) as mesh:
        run = await play(mesh, Bodies)
    assert run.status == "completed"
    said = [record for record in caplog.records if record.name == "squid_mesh.telemetry"]
    assert said
    assert {record.levelno for record in said} == {logging.ERROR}


async def test_an_instrument_that_does_nothing_is_enough(dsn: str, probe: Probe) -> None:
    async with traced(dsn, probe, Instrument()) as mesh:
        assert (await play(mesh, Bodies)).status == "completed"


async def test_a_mesh_has_one_instrument(dsn: str) -> None:
    with pytest.raises(InvalidConfig, match="OpenTelemetry and OpenTelemetry are instruments"):
        Mesh.connect(
            dsn,
            workflows=[Bodies],
            queues={},
            observers=[OpenTelemetry(), print, OpenTelemetry()],
        )
