"""One run, driven by the planner's increments alone, as the runtime drives it in a database.

It keeps the whole history, and checks every move of a step or of the run against the state tables.
`tests/stateful` holds the database to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
    failed: Failed = field(default_factory=Failed)


@dataclass(frozen=True)
class Interrupt:
    """The step's worker died, and the step may be tried again."""

    step: str


@dataclass(frozen=True)
class Sleep:
    """The step sleeps, durably: it was no attempt."""

    step: str
    delay: float


@dataclass(frozen=True)
class Hold:
    """The step waits for a person."""

    step: str


@dataclass(frozen=True)
class Cancel:
    """Somebody cancels the run."""


type Event = Begin | Complete | Break | Interrupt | Sleep | Hold | Cancel


class Run:
    """A run that has started. `events` says what can happen to it, `apply` makes it happen.

    `policies` are the steps' own, where they are to differ from `RETRY`.
    """

    def __init__(
        self, graph: Graph, policies: Mapping[str, RetrySpec | None] | None = None
    ) -> None:
        self.graph = graph
        self._policies = policies or {}
        self.steps = {name: Known(StepStatus.WAITING) for name in graph.waiting}
        self.open_dependencies = dict(graph.waiting)
        self.attempts = Counter[str]()
        self.begun = False
        self.slept: set[str] = set()
        self.delays: dict[str, float] = {}
        self.became_ready: list[str] = []
        self.ends_reached = 0
        self.cancelled = self.failing = False
        self.outcome: RunStatus | None = None
        for name in graph.entries:
            self._ready(name)
        self.statuses = [self.status]

    @property
    def status(self) -> RunStatus:
        return run_status(
            self.counts, begun=self.begun, cancelling=self.cancelled, outcome=self.outcome
        )

    @property
    def counts(self) -> Counts:
        held = Counter(known.status for known in self.steps.values())
        asleep = len(self.named(StepStatus.SCHEDULED) & self.slept)
        return Counts(
            running=held[StepStatus.RUNNING],
            queued=held[StepStatus.PENDING] + asleep,
            retrying=held[StepStatus.SCHEDULED] - asleep,
            paused=held[StepStatus.PAUSED],
        )

    @property
    def open_ends(self) -> int:
        """What is left until the run has ended: completions, or bodies once it goes nowhere."""
        if self.outcome is not None:
            return 0
        return self.counts.running if self.stopped else self.graph.ends - self.ends_reached

    @property
    def stopped(self) -> bool:
        """Whether no step begins any more."""
        return self.cancelled or self.failing

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
        if self.stopped:
            self._stop()
        if self.status is not self.statuses[-1]:
            assert self.status in RUN_MOVES[self.statuses[-1]]
            self.statuses.append(self.status)

    def _happen(self, event: Event) -> None:
        match event:
            case Begin(step):
                self.begun = True
                self.attempts[step] += 1
                self._move(step, Known(StepStatus.RUNNING))
            case Sleep(step, delay):
                self._sleep(step, delay)
            case Hold(step):
                self._move(step, Known(StepStatus.PAUSED))
            case Interrupt(step):
                self._move(step, Known(StepStatus.PENDING))
            case Complete(step, way, output):
                self._move(step, Known(StepStatus.COMPLETED, way, output))
                self._go_on(follow(self.graph, step, way, output))
            case Break(step, failed):
                self._break(step, failed)
            case Cancel():
                self.cancelled = True
            case _:
                assert_never(event)

    def _sleep(self, step: str, delay: float) -> None:
        """A run that goes nowhere cancels it: then it was an attempt."""
        self._move(step, Known(StepStatus.SCHEDULED))
        if not self.stopped:
            self.attempts[step] -= 1
            self.slept.add(step)
            self.delays[step] = delay

    def _break(self, step: str, failed: Failed) -> None:
        policy = self._policies.get(step, RETRY)
        attempt = self.attempts[step]
        following = after_failure(self.graph, step, attempt, failed, policy=policy, jitter=0.5)
        match following:
            case RetryIn(_, delay) if not self.stopped:
                self._move(step, Known(StepStatus.SCHEDULED))
                self.delays[step] = delay
            case RetryIn():
                self._move(step, Known(StepStatus.FAILED))
            case Fail():
                self._move(step, Known(StepStatus.FAILED))
                self.failing = True
            case _:
                self._move(step, Known(StepStatus.FAILED))
                self._go_on(following)

    def _go_on(self, following: Following) -> None:
        if self.stopped:
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
