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
from squid_mesh.engine.states import RUN_MOVES, STEP_MOVES, Counts, RunStatus, StepStatus, run_status

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
class Hold:
    """The step waits for a person."""

    step: str


@dataclass(frozen=True)
class Cancel:
    """Somebody cancels the run."""


type Event = Begin | Complete | Break | Hold | Cancel


class Run:
    """A run that has started. `events` says what can happen to it, `apply` makes it happen."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps: dict[str, Known] = {}
        self.open_dependencies = dict(graph.waiting)
        self.became_ready: list[str] = []
        self.ends_reached = 0
        self.begun = self.cancelled = self.failing = False
        self.outcome: RunStatus | None = None
        for name in graph.waiting:
            self.steps[name] = Known(StepStatus.WAITING)
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
            counts, begun=self.begun, cancelling=self.cancelled, outcome=self.outcome
        )

    @property
    def pending(self) -> set[str]:
        return {n for n, known in self.steps.items() if known.status is StepStatus.PENDING}

    # what can happen

    def events(self, *, cancelling: bool) -> list[Event]:
        events = [event for name in self.steps for event in self._events_of(name)]
        return [*events, Cancel()] if cancelling and not self.cancelled else events

    def _events_of(self, name: str) -> Iterator[Event]:
        is_gate = self.graph.step(name).kind is StepKind.APPROVAL
        match self.steps[name].status:
            case StepStatus.PENDING | StepStatus.SCHEDULED:
                yield Begin(name)
            case StepStatus.RUNNING if is_gate:
                yield Hold(name)
            case StepStatus.RUNNING:
                yield from self._completions(name)
                yield Break(name)
            case StepStatus.PAUSED:
                yield from (Complete(name, edge.on) for edge in self.graph.edges[name])
            case _:
                pass

    def _completions(self, name: str) -> Iterator[Event]:
        for edge in self.graph.edges[name]:
            match edge.on:
                case Exit.WHEN:
                    yield Complete(name, output=edge.value)
                case Exit.OK:
                    yield Complete(name, output="anything else")
                case _:
                    pass
        if not self.graph.spec.flow:
            yield Complete(name)

    # what then happens

    def apply(self, event: Event) -> None:
        assert self.outcome is None, "an ended run is driven on"
        match event:
            case Begin(step):
                self.begun = True
                self._move(step, Known(StepStatus.RUNNING))
                self.attempts[step] += 1
            case Hold(step):
                self._move(step, Known(StepStatus.PAUSED))
            case Complete(step, way, output):
                self._move(step, Known(StepStatus.COMPLETED, way, output))
                self._go_on(follow(self.graph, step, way, output))
            case Break(step):
                self._break(step)
            case Cancel():
                self.cancelled = True
                self._stop()
            case _:
                assert_never(event)
        self._note_status()

    def _break(self, step: str) -> None:
        following = after_failure(
            self.graph, step, self.attempts[step], Failed(), policy=RETRY, jitter=0.5
        )
        match following:
            case RetryIn() if not self._stopping:
                self._move(step, Known(StepStatus.SCHEDULED))
            case Fail() | RetryIn():
                self._move(step, Known(StepStatus.FAILED))
                self.failing = True
                self._stop()
            case _:
                self._move(step, Known(StepStatus.FAILED))
                self._go_on(following)

    def _go_on(self, following: Following) -> None:
        if self._stopping:
            self._stop()
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
        for step, known in list(self.steps.items()):
            if StepStatus.CANCELLED in STEP_MOVES[known.status]:
                if known.status is not StepStatus.RUNNING:
                    self._move(step, Known(StepStatus.CANCELLED))
        if all(known.status is not StepStatus.RUNNING for known in self.steps.values()):
            self._end(RunStatus.CANCELLED if self.cancelled else RunStatus.FAILED)

    def _end(self, outcome: RunStatus) -> None:
        assert self.outcome is None, "a run ends twice"
        self.outcome = outcome

    @property
    def _stopping(self) -> bool:
        return self.cancelled or self.failing

    def _move(self, step: str, to: Known) -> None:
        if step in self.steps:
            assert to.status in STEP_MOVES[self.steps[step].status]
        self.steps[step] = to

    def _note_status(self) -> None:
        was, self.status_now = self.status_now, self.status
