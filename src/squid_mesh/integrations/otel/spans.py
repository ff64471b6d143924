"""Spans of runs. None stays open while a run waits: a trace is held together by what runs keep.

A start is a short producer's span, the root of a trace. Its context is kept with the run, as W3C
Trace Context writes it, and is the parent of every span that follows, in whatever process.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from squid_mesh.integrations.otel import names
from squid_mesh.telemetry import (
    Event,
    Failure,
    RunCancelRequested,
    RunEnded,
    Starting,
    StepDecided,
    StepEvent,
    StepInterrupted,
    Work,
)

_w3c = TraceContextTextMapPropagator()

type _Attributes = dict[str, AttributeValue]


class StartSpan:
    """The root of a run's trace."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def trace(self) -> str | None:
        """The trace context of the root; None when there is no SDK."""
        carrier: dict[str, str] = {}
        _w3c.inject(carrier, trace.set_span_in_context(self._span, Context()))
        return " ".join(carrier.values()) or None

    def end(self, outcome: str, failure: Failure | None = None) -> None:
        """It was written, or wasn't."""
        del failure
        self._span.set_attribute(names.OUTCOME, outcome)
        if outcome == "raised":
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class StepSpan:
    """A step under way, whose span is current."""

    def __init__(self, span: trace.Span, token: Token[Context], *, exceptions: bool) -> None:
        self._span = span
        self._token = token
        self._exceptions = exceptions

    @property
    def trace(self) -> None:
        """It has its run's."""

    def end(self, outcome: str, failure: Failure | None = None) -> None:
        """It came to this. A step that is put off, sleeps or waits is no error."""
        contexts.detach(self._token)
        self._span.set_attribute(names.OUTCOME, outcome)
        if failure is not None and outcome == "failed":
            self._fail(failure)
        elif outcome in {"interrupted", "refused"}:
            self._span.set_attribute(names.ERROR_TYPE, outcome)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()

    def _fail(self, failure: Failure) -> None:
        self._span.set_attribute(names.ERROR_TYPE, failure.type)
        if failure.code is not None:
            self._span.set_attribute(names.ERROR_CODE, failure.code)
        self._span.set_status(
            Status(StatusCode.ERROR, failure.message if self._exceptions else None)
        )
        if self._exceptions:
            exception: _Attributes = {
                names.EXCEPTION_TYPE: failure.type,
                names.EXCEPTION_MESSAGE: failure.message,
            }
            if failure.traceback is not None:
                exception[names.EXCEPTION_TRACEBACK] = failure.traceback
            self._span.add_event("exception", exception)


class Spans:
    """Makes the spans of one mesh."""

    def __init__(self, provider: TracerProvider | None, *, exceptions: bool) -> None:
        self._tracer = trace.get_tracer("squid_mesh", tracer_provider=provider)
        self._exceptions = exceptions

    def begin_start(self, starting: Starting) -> StartSpan:
        """The root of a new trace; it and its caller's span lead to each other."""
        caller = _caller() if starting.window is None else trace.INVALID_SPAN
        links = _links(
            caller=caller.get_span_context(),
            replayed=None if starting.replays is None else _context_of(starting.replays),
        )
        span = self._tracer.start_span(
            f"start {starting.workflow}",
            context=Context(),
            kind=SpanKind.PRODUCER,
            links=links,
            attributes=_started(starting),
        )
        if caller.is_recording() and span.get_span_context().is_valid:
            caller.add_link(
                span.get_span_context(), {names.LINK: "run", names.RUN: str(starting.run_id)}
            )
        return StartSpan(span)

    def begin_step(self, work: Work) -> StepSpan:
        """A step's span, current from here on; what the body's libraries trace belongs to it."""
        attributes: _Attributes = {
            **_run(work.workflow, work.trigger, str(work.run_id)),
            names.STEP: work.step,
            names.STEP_KIND: work.kind,
            names.ATTEMPT: work.attempt,
            names.OPERATION: "step",
            names.OPERATION_TYPE: "process",
        }
        if work.queue is not None:
            attributes[names.DESTINATION] = work.queue
        parent = _parent(work.trace)
        span = self._tracer.start_span(
            f"step {work.workflow}.{work.step}",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
        )
        token = contexts.attach(trace.set_span_in_context(span, parent))
        return StepSpan(span, token, exceptions=self._exceptions)

    def tell(self, event: Event) -> None:
        """Short spans for what happens to a run outside of its steps' bodies."""
        match event:
            case RunEnded(status=status):
                self._short(event, f"end {event.workflow}", {names.RUN_STATUS: status})
            case RunCancelRequested(status=status):
                facts = {names.RUN_STATUS: status}
                self._short(event, f"cancel {event.workflow}", facts, _caller())
            case StepDecided(decision=decision):
                by = trace.INVALID_SPAN if decision == "timed_out" else _caller()
                self._short(event, _of("decide", event), {names.DECISION: decision}, by)
            case StepInterrupted(policy=policy):
                self._short(event, _of("recover", event), {names.RECOVERY: policy})
            case _:
                pass

    def _short(
        self,
        event: Event,
        name: str,
        facts: Mapping[str, AttributeValue],
        caller: trace.Span = trace.INVALID_SPAN,
    ) -> None:
        attributes = {**_run(event.workflow, event.trigger, str(event.run_id)), **facts}
        if isinstance(event, StepEvent):
            attributes |= {names.STEP: event.step, names.ATTEMPT: event.attempt}
        span = self._tracer.start_span(
            name,
            context=_parent(event.trace),
            attributes=attributes,
            links=_links(caller=caller.get_span_context()),
        )
        if facts.get(names.RUN_STATUS) == "failed":
            span.set_status(Status(StatusCode.ERROR))
        span.end()


def _caller() -> trace.Span:
    """The span in which a host calls the mesh."""
    return trace.get_current_span()


def _started(starting: Starting) -> _Attributes:
    attributes: _Attributes = {
        **_run(starting.workflow, starting.trigger, str(starting.run_id)),
        names.OPERATION: "start",
        names.OPERATION_TYPE: "send",
    }
    if starting.window is not None:
        attributes[names.WINDOW] = starting.window.isoformat()
    return attributes


def _of(what: str, event: StepEvent) -> str:
    return f"{what} {event.workflow}.{event.step}"


def _run(workflow: str, trigger: str, run_id: str) -> _Attributes:
    return {
        names.WORKFLOW: workflow,
        names.TRIGGER: trigger,
        names.RUN: run_id,
        names.SYSTEM: "squid_mesh",
        names.CONVERSATION: run_id,
    }


def _parent(kept: str | None) -> Context:
    """The context that a run's spans have their parent in; an empty one without a trace.

    Never the current one: a driver's task may have been made under any span.
    """
    if kept is None:
        return Context()
    traceparent, _, tracestate = kept.partition(" ")
    carrier = {"traceparent": traceparent}
    if tracestate:
        carrier["tracestate"] = tracestate
    return _w3c.extract(carrier, Context())


def _context_of(kept: str) -> SpanContext:
    return trace.get_current_span(_parent(kept)).get_span_context()


def _links(**contexts_by_kind: SpanContext | None) -> list[Link]:
    return [
        Link(context, {names.LINK: kind})
        for kind, context in contexts_by_kind.items()
        if context is not None and context.is_valid
    ]
