"""What is told of a mesh: events, measures, spans, and the log context of a step.

`Mesh(observers=[…])` takes all of it: a function is told events, an `Instrument` is asked for spans
and told measures too. Where nobody listens, nothing of this package runs.
"""

from squid_mesh.telemetry.events import (
    Event,
    Observer,
    RunCancelRequested,
    RunCreated,
    RunEnded,
    RunEvent,
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
from squid_mesh.telemetry.instruments import (
    Failure,
    Flushed,
    Instrument,
    Measure,
    OldestReady,
    Requeued,
    Span,
    Starting,
    Work,
)
from squid_mesh.telemetry.listeners import Telemetry
from squid_mesh.telemetry.logs import LogContext

__all__ = [
    "Event",
    "Failure",
    "Flushed",
    "Instrument",
    "LogContext",
    "Measure",
    "Observer",
    "OldestReady",
    "Requeued",
    "RunCancelRequested",
    "RunCreated",
    "RunEnded",
    "RunEvent",
    "RunReplayed",
    "Span",
    "Starting",
    "StepCompleted",
    "StepDecided",
    "StepEvent",
    "StepFailed",
    "StepInterrupted",
    "StepPaused",
    "StepRefused",
    "StepRetryScheduled",
    "StepSlept",
    "StepStarted",
    "Telemetry",
    "Work",
]
