"""The instrument: what a mesh tells becomes spans and metrics."""

from __future__ import annotations

from typing import override

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from squid_mesh.integrations.otel.meters import Meters
from squid_mesh.integrations.otel.spans import Spans
from squid_mesh.telemetry import Event, Instrument, Measure, Span, Starting, Work


class OpenTelemetry(Instrument):
    """Traces runs and counts what happens: `Mesh(…, observers=[OpenTelemetry()])`.

    * `tracer_provider`, `meter_provider`: the global ones unless given.
    * `exceptions`: whether spans have messages and tracebacks of failures. The run's secrets are
      taken out of them; other personal data isn't. A failure's type and code are always shown.

    Starting a run begins a trace of its own, linked both ways with its caller's span. Every step is
    a span of it, wherever and whenever it is performed, and current around its body.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        exceptions: bool = True,
    ) -> None:
        self._spans = Spans(tracer_provider, exceptions=exceptions)
        self._meters = Meters(meter_provider)

    @override
    def __call__(self, event: Event) -> None:
        self._spans.tell(event)
        self._meters.tell(event)

    @override
    def begin_start(self, starting: Starting) -> Span:
        return self._spans.begin_start(starting)

    @override
    def begin_step(self, work: Work) -> Span:
        return self._spans.begin_step(work)

    @override
    def measure(self, measure: Measure) -> None:
        self._meters.measure(measure)

    @property
    @override
    def wants_oldest_ready(self) -> bool:
        return self._meters.wants_oldest_ready
