"""One run, driven by the planner's increments alone, as the runtime drives it in a database.

It keeps the whole history, and checks every move of a step or of the run against the state tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from squid_mesh.definition.spec import Exit, Json, RetrySpec, StepKind
from squid_mesh.engine.graph import Graph
from squid_mesh.engine.planner import (
    CountDown,
    EndReached,
    Fail,
    Following,
    Known,
    Next,
    after_failure,
    follow,
)
from squid_mesh.engine.retry import Failed, RetryIn
from squid_mesh.engine.states import (
    RUN_MOVES,
    STEP_MOVES,
    Counts,
    RunStatus,
    StepStatus,
    run_status,
)

RETRY = RetrySpec(max_attempts=2)


@dataclass(frozen=True)
class Begin:
    """A worker claims the step."""

    step: str


@dataclass(frozen=True)
class Complete:
    """The step's body returned, or its gate was decided."""

    step: str
    way: Exit = Exit.OK
    output: Json = None


@dataclass(frozen=True)
class Break:
    """The step's body raised."""

    step: str


@dataclass(frozen=True)
class Interrupt:
    """The step's worker died."""

    step: str


@dataclass(frozen=True)
class Hold:
    """The step waits for a person."""

    step: str


@dataclass(frozen=True)
class Cancel:
    """Somebody cancels the run."""


type Event = Begin | Complete | Break | Interrupt | Hold | Cancel


class Run:
    """A run that has started. `events` says what can happen to it, `apply` makes it happen."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps = {name: Known(StepStatus.WAITING) for name in graph.waiting}
        self.open_dependencies = dict(graph.waiting)
        self.attempts = Counter[str]()
        self.became_ready: list[str] = []
        self.ends_reached = 0
        self.cancelled = self.failing = False
        self.outcome: RunStatus | None = None
        for name in graph.entries:
            self._ready(name)
        self.statuses = [self.status]

    @property
    def status(self) -> RunStatus:
        held = Counter(known.status for known in self.steps.values())
        counts = Counts(
            running=held[StepStatus.RUNNING],
            queued=held[StepStatus.PENDING],
            retrying=held[StepStatus.SCHEDULED],
            paused=held[StepStatus.PAUSED],
        )
        return run_status(
            counts,
            begun=self.attempts.total() > 0,
            cancelling=self.cancelled,
            outcome=self.outcome,
        )

    def named(self, status: StepStatus) -> set[str]:
        """The steps that stand there."""
        return {name for name, known in self.steps.items() if known.status is status}

    # what can happen

    def events(self) -> list[Event]:
        """Everything that can happen now, but for a cancellation, which always can."""
        return [event for name in self.steps for event in self._events_of(name)]

    def _events_of(self, name: str) -> Iterator[Event]:
        match self.steps[name].status:
            case StepStatus.PENDING | StepStatus.SCHEDULED:
                yield Begin(name)
            case StepStatus.RUNNING:
                yield from self._endings_of(name)
                if self.attempts[name] < RETRY.max_attempts:
                    yield Interrupt(name)
            case StepStatus.PAUSED:
                decisions = [edge.on for edge in self.graph.edges[name]]
                yield from (Complete(name, way) for way in decisions or DECISIONS)
            case _:
                pass

    def _endings_of(self, name: str) -> Iterator[Event]:
        if self.graph.step(name).kind is StepKind.APPROVAL:
            yield Hold(name)
            return
        yield Break(name)
        if not self.graph.spec.flow:
            yield Complete(name)
        for edge in self.graph.edges[name]:
            if edge.on in {Exit.OK, Exit.WHEN}:
                yield Complete(name, output=edge.value)

    # what then happens

    def apply(self, event: Event) -> None:
        assert self.outcome is None, "nothing happens to a run that has ended"
        self._happen(event)
        if self.cancelled or self.failing:
            self._stop()
        if self.status is not self.statuses[-1]:
            assert self.status in RUN_MOVES[self.statuses[-1]]
            self.statuses.append(self.status)

    def _happen(self, event: Event) -> None:
        match event:
            case Begin(step):
                self.attempts[step] += 1
                self._move(step, Known(StepStatus.RUNNING))
            case Hold(step):
                self._move(step, Known(StepStatus.PAUSED))
            case Interrupt(step):
                self._move(step, Known(StepStatus.PENDING))
            case Complete(step, way, output):
                self._move(step, Known(StepStatus.COMPLETED, way, output))
                self._go_on(follow(self.graph, step, way, output))
            case Break(step):
                self._break(step)
            case Cancel():
                self.cancelled = True
            case _:
                assert_never(event)

    def _break(self, step: str) -> None:
        attempt = self.attempts[step]
        following = after_failure(self.graph, step, attempt, Failed(), policy=RETRY, jitter=0.5)
        match following:
            case RetryIn():
                self._move(step, Known(StepStatus.SCHEDULED))
            case Fail():
                self._move(step, Known(StepStatus.FAILED))
                self.failing = True
            case _:
                self._move(step, Known(StepStatus.FAILED))
                self._go_on(following)

    def _go_on(self, following: Following) -> None:
        if self.cancelled or self.failing:
            return
        match following:
            case Next(step):
                self._ready(step)
            case CountDown(steps):
                for step in steps:
                    self.open_dependencies[step] -= 1
                    if self.open_dependencies[step] == 0:
                        self._ready(step)
            case EndReached():
                self.ends_reached += 1
                if self.ends_reached == self.graph.ends:
                    self._end(RunStatus.COMPLETED)
            case _:
                assert_never(following)

    def _ready(self, step: str) -> None:
        self.became_ready.append(step)
        self._move(step, Known(StepStatus.PENDING))

    def _stop(self) -> None:
        """What has not begun never will; the run has ended when no body is left."""
        for status in STOPPED:
            for step in self.named(status):
                self._move(step, Known(StepStatus.CANCELLED))
        if not self.named(StepStatus.RUNNING):
            self._end(RunStatus.CANCELLED if self.cancelled else RunStatus.FAILED)

    def _end(self, outcome: RunStatus) -> None:
        assert self.outcome is None, "a run ends once"
        self.outcome = outcome

    def _move(self, step: str, to: Known) -> None:
        assert step not in self.steps or to.status in STEP_MOVES[self.steps[step].status]
        self.steps[step] = to


DECISIONS = (Exit.APPROVED, Exit.REJECTED)
STOPPED = (StepStatus.WAITING, StepStatus.PENDING, StepStatus.SCHEDULED, StepStatus.PAUSED)
