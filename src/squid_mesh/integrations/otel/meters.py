"""Metrics of a mesh. Durations are in seconds; workflows and steps are few, so they are attributes.

No run's id is an attribute of a metric, nor anything else that there are many of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter
from opentelemetry.util.types import AttributeValue

from squid_mesh.integrations.otel import names
from squid_mesh.telemetry import (
    Event,
    Flushed,
    Measure,
    OldestReady,
    Requeued,
    RunCreated,
    RunEnded,
    RunReplayed,
    StepCompleted,
    StepDecided,
    StepEvent,
    StepFailed,
    StepInterrupted,
    StepPaused,
    StepRefused,
    StepRetryScheduled,
    StepSlept,
    StepStarted,
)

FAST: Sequence[float] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Bounds of what is milliseconds while all is well."""

LONG: Sequence[float] = (*(0.005, 0.025, 0.1, 0.5, 1, 5, 30, 60), *(300, 1800, 3600, 86400, 604800))
"""Bounds of what may take a moment or a week."""

SIZES: Sequence[float] = (1, 2, 5, 10, 25, 50, 100, 250, 500)

_STATUSES: dict[type[Event], str] = {
    StepStarted: "started",
    StepCompleted: "completed",
    StepFailed: "failed",
    StepRetryScheduled: "retry_scheduled",
    StepPaused: "paused",
    StepDecided: "decided",
    StepSlept: "slept",
    StepInterrupted: "interrupted",
    StepRefused: "refused",
}


class Meters:
    """The metric instruments of one mesh."""

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = get_meter("squid_mesh", meter_provider=provider)
        self._started = meter.create_counter(
            "squid_mesh.runs.started", "{run}", "Runs that were started, replays included"
        )
        self._ended = meter.create_counter(
            "squid_mesh.runs.ended", "{run}", "Runs that ended, by status"
        )
        self._run_duration = meter.create_histogram(
            "squid_mesh.run.duration",
            "s",
            "From a run's start to its end, waits included",
            explicit_bucket_boundaries_advisory=LONG,
        )
        self._steps = meter.create_counter(
            "squid_mesh.steps", "{attempt}", "What happened to attempts of steps, by status"
        )
        self._step_duration = meter.create_histogram(
            "squid_mesh.step.duration",
            "s",
            "From an attempt's start to its durable result",
            explicit_bucket_boundaries_advisory=LONG,
        )
        self._decision_duration = meter.create_histogram(
            "squid_mesh.decision.wait_time",
            "s",
            "For how long a step waited for somebody's decision",
            explicit_bucket_boundaries_advisory=LONG,
        )
        self._wait_time = meter.create_histogram(
            "squid_mesh.queue.wait_time",
            "s",
            "For how long a step was ready before it was claimed out of its queue",
            explicit_bucket_boundaries_advisory=LONG,
        )
        self._flush_records = meter.create_histogram(
            "squid_mesh.flush.records",
            "{record}",
            "Records that one commit wrote",
            explicit_bucket_boundaries_advisory=SIZES,
        )
        self._flush_duration = meter.create_histogram(
            "squid_mesh.flush.duration",
            "s",
            "Round trip and commit of a group of records",
            explicit_bucket_boundaries_advisory=FAST,
        )
        self._recoveries = meter.create_counter(
            "squid_mesh.recoveries", "{step}", "Steps whose process died in the middle, by policy"
        )
        self._requeued = meter.create_counter(
            "squid_mesh.recovery.requeued", "{step}", "Steps that were due and had lost their job"
        )
        self._oldest: float | None = None
        self.wants_oldest_ready = False
        self._oldest_ready = meter.create_observable_gauge(
            "squid_mesh.queue.oldest_ready",
            [self._observe],
            "s",
            "For how long the step that has been due for longest has been so",
        )

    def _observe(self, _: CallbackOptions) -> Iterable[Observation]:
        """What the last sweep found; somebody collects, so that the next one looks again."""
        self.wants_oldest_ready = True
        return () if self._oldest is None else (Observation(self._oldest),)

    def measure(self, measure: Measure) -> None:
        """Something of this process was measured."""
        match measure:
            case Flushed(kind=kind, records=records, seconds=seconds):
                self._flush_records.record(records, {names.FLUSH: kind})
                self._flush_duration.record(seconds, {names.FLUSH: kind})
            case Requeued(steps=steps):
                self._requeued.add(steps)
            case OldestReady(seconds=seconds):
                self._oldest = seconds
                self.wants_oldest_ready = False
            case _:
                assert_never(measure)

    def tell(self, event: Event) -> None:
        """Something happened to a run."""
        if isinstance(event, StepEvent):
            self._tell_step(event)
        elif isinstance(event, RunEnded):
            ended = _run(event) | {names.RUN_STATUS: event.status}
            self._ended.add(1, ended)
            self._run_duration.record(event.duration, ended)
        elif isinstance(event, RunCreated | RunReplayed):
            self._started.add(1, _run(event))

    def _tell_step(self, event: StepEvent) -> None:
        step = _step(event)
        self._steps.add(1, step | {names.STEP_STATUS: _STATUSES[type(event)]})
        match event:
            case StepStarted(waited=waited) if waited is not None:
                self._wait_time.record(waited, step)
            case StepCompleted(duration=duration):
                self._step_duration.record(duration, step | {names.STEP_STATUS: "completed"})
            case StepFailed(duration=duration, error_type=kind):
                failed = step | {names.STEP_STATUS: "failed", names.ERROR_TYPE: kind}
                self._step_duration.record(duration, failed)
            case StepDecided(duration=duration, decision=decision):
                self._decision_duration.record(duration, step | {names.DECISION: decision})
            case StepInterrupted(policy=policy):
                self._recoveries.add(1, step | {names.RECOVERY: policy})
            case _:
                pass


def _run(event: Event) -> dict[str, AttributeValue]:
    return {names.WORKFLOW: event.workflow, names.TRIGGER: event.trigger}


def _step(event: StepEvent) -> dict[str, AttributeValue]:
    return {names.WORKFLOW: event.workflow, names.STEP: event.step}
