"""Workflows that are observed, and an OpenTelemetry SDK that keeps what it is given."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from psycopg import AsyncConnection
from pydantic import SecretStr

from squid_mesh import (
    NoPayload,
    Payload,
    Retry,
    RetryLater,
    StepContext,
    StepError,
    Workflow,
    approval,
    complete,
    connection,
    context,
    cron,
    log,
    pause,
    resource,
    step,
    wait,
)
from squid_mesh.integrations.otel import OpenTelemetry
from tests.meshes import Probe, Workflows

HOUR = timedelta(hours=1)


@dataclass
class Sdk:
    """An application's SDK, in memory."""

    sampler: Sampler = ALWAYS_ON
    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    metrics: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.tracers = TracerProvider(sampler=self.sampler, shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meters = MeterProvider([self.metrics], shutdown_on_exit=False)
        self.tracer = self.tracers.get_tracer("tests")

    def instrument(self, **options: Any) -> OpenTelemetry:
        return OpenTelemetry(tracer_provider=self.tracers, meter_provider=self.meters, **options)

    def of(self, run_id: UUID) -> list[ReadableSpan]:
        """The spans of a run, in the order in which they ended."""
        return [s for s in self.spans.get_finished_spans() if fact(s, "run.id") == str(run_id)]

    def named(self, name: str) -> ReadableSpan:
        """The only span of a name."""
        (span,) = (s for s in self.spans.get_finished_spans() if s.name == name)
        return span

    def points(self, name: str) -> dict[tuple[str, ...], Any]:
        """The points of a metric, by the values of their attributes in the order of the names."""
        data = self.metrics.get_metrics_data()
        if data is None:
            return {}
        return {
            values(point.attributes): point
            for resource_metrics in data.resource_metrics
            for scope in resource_metrics.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }

    def counts(self, name: str) -> dict[tuple[str, ...], float]:
        """How often each was counted, or recorded."""
        return {
            key: point.count if isinstance(point, HistogramDataPoint) else point.value
            for key, point in self.points(name).items()
        }


def values(attributes: Mapping[str, Any] | None) -> tuple[str, ...]:
    return tuple(str(value) for _, value in sorted((attributes or {}).items()))


def fact(span: ReadableSpan, name: str) -> Any:
    """One of our attributes."""
    return (span.attributes or {}).get(f"squid_mesh.{name}")


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def traces(spans: Iterable[ReadableSpan]) -> set[int]:
    return {trace_of(span) for span in spans}


def linked(span: ReadableSpan) -> dict[str, int]:
    """The spans that a span is linked to, by the kind of the link."""
    return {
        str((link.attributes or {})["squid_mesh.link"]): link.context.span_id for link in span.links
    }


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def current() -> str:
    """The span that is current, as a body sees it."""
    return format(trace.get_current_span().get_span_context().span_id, "016x")


async def fine() -> str:
    return current()


def in_a_thread() -> str:
    return current()


async def in_a_transaction(conn: AsyncConnection[Any]) -> str:
    await conn.execute("select 1")
    return current()


async def in_a_task() -> str:
    async def inner() -> str:
        return current()

    return await asyncio.create_task(inner())


class SecretPayload(Payload):
    token: SecretStr = SecretStr("hunter2hunter2")


async def fail_once(at: StepContext, token: SecretStr) -> str:
    if at.attempt == 1:
        raise StepError(f"{token.get_secret_value()} was refused", code="refused")
    return "fine"


async def come_later(at: StepContext) -> str:
    if at.attempt == 1:
        raise RetryLater(HOUR)
    return "fine"


async def broken() -> None:
    raise ValueError("broken")


async def hold(probe: Probe) -> None:
    await probe.hold("held")


class Bodies(Workflow[NoPayload]):
    on_loop = step(fine).takes()
    thread = step(in_a_thread).takes()
    transaction = step(in_a_transaction).takes(connection())
    task = step(in_a_task).takes()
    flow = on_loop >> thread >> transaction >> task >> complete


class Flaky(Workflow[SecretPayload]):
    work = step(fail_once, retry=Retry(2)).takes(context, token=SecretPayload.token)


class Later(Workflow[NoPayload]):
    work = step(come_later, retry=Retry(2)).takes(context)


class Broken(Workflow[NoPayload]):
    work = step(broken).takes()
    flow = work >> complete


class Napping(Workflow[NoPayload]):
    before = step(fine).takes()
    nap = wait(HOUR)
    work = step(fine).takes()
    flow = before >> nap >> work >> complete


class Held(Workflow[NoPayload]):
    gate = pause()
    said = log("it goes on")
    flow = gate >> said >> complete


class Reviewed(Workflow[NoPayload]):
    review = approval(deadline=HOUR)
    flow = (
        review.on_approved >> complete,
        review.on_rejected >> complete,
        review.on_timeout >> complete,
    )


class Slow(Workflow[NoPayload]):
    work = step(hold).takes(resource(Probe))
    flow = work >> complete


class Daily(Workflow[NoPayload]):
    at_nine = cron("0 9 * * *", timezone="Etc/UTC")
    work = step(fine).takes()


WORKFLOWS: Workflows = [Bodies, Flaky, Later, Broken, Napping, Held, Reviewed, Slow, Daily]
