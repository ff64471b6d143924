"""What the database is to hold of a run: the engine's prediction, with what the shell adds to it.

The run itself is `tests/unit/engine/interpreter.py`. Here are claims, due times, jobs, attempts and
audit events, and what one delivery does before it comes to rest.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, assert_never

from squid_mesh.definition.compile import Definition
from squid_mesh.definition.spec import Json, StepKind
from squid_mesh.engine.graph import Graph
from squid_mesh.engine.retry import Failed
from squid_mesh.engine.states import RunStatus, StepStatus
from tests.stateful.conductor import Delivery, How
from tests.stateful.workflows import DELAY
from tests.unit.engine.interpreter import (
    Begin,
    Break,
    Cancel,
    Complete,
    Event,
    Hold,
    Interrupt,
    Run,
    Sleep,
)

QUEUE = "squid_mesh"
MOST_STEPS = 3
"""Steps in one slice: few, so that deliveries hand over."""

MOST_INTERRUPTIONS = 3

SUPPLIED = "left"
"""What an operator says that a step would have returned."""

READY = (StepStatus.PENDING, StepStatus.SCHEDULED)


@dataclass
class StepRow:
    """A row of `steps`. `due_in` is None where nothing is due, `job` whether it has one to come."""

    status: str
    attempt: int
    open_dependencies: int
    claim: int | None
    due_in: float | None
    job: bool | None
    output: Json
    has_error: bool


@dataclass
class RunRow:
    """A row of `runs` and everything that hangs on it."""

    status: str
    running: int
    queued: int
    retrying: int
    paused: int
    open_ends: int
    has_begun: bool
    steps: dict[str, StepRow]
    attempts: list[tuple[str, int, str]]
    audit: list[tuple[str, str | None]]


@dataclass
class Model:
    """One run as it is to be. `now` is the clock's shift, which only tests move."""

    definition: Definition
    now: Callable[[], float]
    claims: dict[str, int] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    jobless: set[str] = field(default_factory=set)
    fetchable: set[str] = field(default_factory=set)
    """Steps whose job Oban could fetch now. The test is Oban: it says so before what happens."""
    errors: set[str] = field(default_factory=set)
    past: list[tuple[str, int, str]] = field(default_factory=list)
    audit: list[tuple[str, str | None]] = field(default_factory=list)
    interruptions: Counter[str] = field(default_factory=Counter)
    supplied: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        spec = self.definition.spec
        self.run = Run(Graph(spec), {step.name: step.retry for step in spec.steps})
        for name in self.run.named(StepStatus.PENDING):
            self.due[name] = self.now()

    # what can be asked

    @property
    def status(self) -> RunStatus:
        """The run's status."""
        return self.run.status

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.run.outcome is not None

    def is_due(self, step: str) -> bool:
        """Whether a job that comes now claims the step."""
        known = self.run.steps.get(step)
        return known is not None and known.status in READY and self.due[step] <= self.now()

    def is_early(self, step: str) -> bool:
        """Whether a job that comes now comes too early."""
        known = self.run.steps.get(step)
        return known is not None and known.status in READY and self.due[step] > self.now()

    def queue_of(self, step: str) -> str:
        """The queue that a step's jobs are in."""
        return self.run.graph.step(step).queue or QUEUE

    def policy_of(self, step: str) -> str:
        """What becomes of a step whose body is found dead now."""
        policy = self.run.graph.step(step).on_interrupt
        too_often = self.interruptions[step] + 1 >= MOST_INTERRUPTIONS
        return "fail" if policy == "retry" and too_often else policy

    def row(self) -> RunRow:
        """What the database is to hold."""
        counts = self.run.counts
        return RunRow(
            status=self.status,
            running=counts.running,
            queued=counts.queued,
            retrying=counts.retrying,
            paused=counts.paused,
            open_ends=self.run.open_ends,
            has_begun=self.run.begun,
            steps={name: self._step(name) for name in self.run.steps},
            attempts=sorted([*self.past, *self._present()]),
            audit=sorted(self.audit, key=str),
        )

    def _step(self, name: str) -> StepRow:
        known = self.run.steps[name]
        ready = known.status in READY
        return StepRow(
            status=known.status,
            attempt=self.run.attempts[name],
            open_dependencies=self.run.open_dependencies.get(name, 0),
            claim=self.claims.get(name),
            due_in=self.due[name] - self.now() if ready else None,
            job=name not in self.jobless if ready else None,
            output=known.output,
            has_error=name in self.errors,
        )

    def _present(self) -> Iterable[tuple[str, int, str]]:
        for name, known in self.run.steps.items():
            attempt = self.run.attempts[name]
            if known.status is StepStatus.COMPLETED and name not in self.supplied:
                yield (name, attempt, "completed")
            elif known.status is StepStatus.RUNNING or (
                known.status is StepStatus.PAUSED and name not in self.errors
            ):
                yield (name, attempt, "running")

    # what happens

    def claim(self, delivery: Delivery, step: str, *, draining: bool = False) -> None:
        """A job claims its step, and what needs no body follows at once."""
        self._apply(Begin(step))
        self.fetchable.discard(step)
        self.claims[step] = delivery.boot
        self._perform(delivery, step, draining=draining)

    def finish(self, delivery: Delivery, step: str, how: How, *, draining: bool = False) -> None:
        """A body has come to something, under a claim that holds."""
        failed = how.failed
        if failed is None:
            self._end(delivery, Complete(step, output=how.value), draining=draining)
        else:
            self.past.append((step, self.run.attempts[step], "failed"))
            self.errors.add(step)
            self._end(delivery, Break(step, failed), draining=draining)

    def finish_together(
        self,
        ends: list[tuple[Delivery, str, How]],
        claimed: Callable[[str], int | None],
    ) -> None:
        """Siblings complete, who knows in which order: `claimed` says which boot took a join."""
        before = dict(self.run.steps)
        self.fetchable.clear()
        for delivery, step, how in ends:
            delivery.steps += 1
            self._apply(Complete(step, output=how.value))
        for join in self._freed(before):
            givers = [(d, s) for d, s, _ in ends if join in self.run.graph.dependents[s]]
            takers = [d for d, s in givers if self._takes(d, s, join, draining=False)]
            boot = claimed(join)
            assert boot is not None or len(takers) < len(givers), f"{join} was left to a job"
            if boot is None:
                continue
            taker = next((d for d in takers if d.boot == boot), None)
            assert taker is not None, f"{join} was claimed by {boot}, who had no business to"
            self.claim(taker, join)

    def cancel(self) -> None:
        """Somebody cancels the run; asking again changes nothing."""
        if self.run.cancelled:
            return
        self._apply(Cancel())
        self.audit.append(("cancelled", None))

    def unblock(self, step: str) -> None:
        """Somebody lets a pause go."""
        self._apply(Complete(step))
        self.audit.append(("resumed", step))

    def resolve(self, step: str, how: str) -> None:
        """An operator decides about an interrupted step."""
        self.audit.append(("resolved", step))
        match how:
            case "retry":
                self.errors.discard(step)
                self._apply(Interrupt(step))
            case "complete":
                self.supplied.add(step)
                self._apply(Complete(step, output=SUPPLIED))
            case _:
                self._apply(Break(step, Failed(retryable=False)))

    @property
    def gates(self) -> list[str]:
        """Steps that wait at a pause."""
        return sorted(self.run.named(StepStatus.PAUSED) - self.errors)

    @property
    def broken(self) -> list[str]:
        """Steps that wait for an operator."""
        return sorted(self.run.named(StepStatus.PAUSED) & self.errors)

    def interrupt(self, step: str) -> None:
        """A sweep finds a body that nobody answers for."""
        policy = self.policy_of(step)
        self.interruptions[step] += 1
        self.past.append((step, self.run.attempts[step], "interrupted"))
        self.audit.append(("interrupted", step))
        if policy == "retry":
            self.errors.discard(step)
            self._apply(Interrupt(step))
            return
        self.errors.add(step)
        if policy == "pause" and not self.run.stopped:
            self._apply(Hold(step))
        else:
            self._apply(Break(step, Failed(retryable=False)))

    def _perform(self, delivery: Delivery, step: str, *, draining: bool) -> None:
        match self.run.graph.step(step).kind:
            case StepKind.ACTION:
                return
            case StepKind.LOG:
                self._end(delivery, Complete(step), draining=draining)
            case StepKind.WAIT if step in self.run.slept:
                self._end(delivery, Complete(step), draining=draining)
            case StepKind.WAIT:
                self._end(delivery, Sleep(step, DELAY.total_seconds()), draining=draining)
            case StepKind.PAUSE | StepKind.APPROVAL:
                if not self.run.stopped:
                    self.audit.append(("paused", step))
                self._end(delivery, Hold(step), draining=draining)
            case kind:
                assert_never(kind)

    def _end(self, delivery: Delivery, event: Any, *, draining: bool) -> None:
        """A step's progress is written, and the delivery takes the next step where it may."""
        delivery.steps += 1
        before = dict(self.run.steps)
        self._apply(event)
        at_hand = sorted(filter(lambda step: self._is_at_hand(delivery, step), self.fetchable))
        freed = self._freed(before)
        following = [s for s in freed if self._takes(delivery, event.step, s, draining=draining)]
        goes_on = self._has_room(delivery, draining=draining) and isinstance(event, Complete)
        along = at_hand[:1] if goes_on and not following else []
        self.fetchable |= {*freed}
        for step in (*following, *along):
            self.claim(delivery, step, draining=draining)

    def _is_at_hand(self, delivery: Delivery, step: str) -> bool:
        """Whether a delivery that has nothing else to do takes this step along."""
        known = self.run.steps[step]
        new = known.status is StepStatus.PENDING and self.run.attempts[step] == 0
        return new and not self.run.stopped and self.queue_of(step) == delivery.job.queue

    def _freed(self, before: dict[str, Any]) -> list[str]:
        pending = self.run.named(StepStatus.PENDING)
        return sorted(s for s in pending if before.get(s) != self.run.steps[s])

    def _takes(self, delivery: Delivery, step: str, following: str, *, draining: bool) -> bool:
        """Whether a delivery goes on inline: the only way on, in its queue, in its slice."""
        graph = self.run.graph
        only = graph.spec.flow or len(graph.dependents[step]) == 1
        here = self.queue_of(following) == delivery.job.queue
        return only and here and self._has_room(delivery, draining=draining)

    def _has_room(self, delivery: Delivery, *, draining: bool) -> bool:
        return not draining and delivery.steps < MOST_STEPS

    def _apply(self, event: Event) -> None:
        before = dict(self.run.steps)
        self.run.apply(event)
        for name, known in self.run.steps.items():
            if before.get(name) != known:
                self._moved(name, before.get(name))

    def _moved(self, name: str, before: Any) -> None:
        status = self.run.steps[name].status
        if status is not StepStatus.RUNNING:
            self.claims.pop(name, None)
        self.due.pop(name, None)
        self.jobless.discard(name)
        match status:
            case StepStatus.PENDING:
                self.due[name] = self.now()
            case StepStatus.SCHEDULED:
                self.due[name] = self.now() + self.run.delays[name]
            case StepStatus.COMPLETED:
                self.errors.discard(name)
            case StepStatus.CANCELLED if before is not None and before.status in HELD:
                self._cut_short(name)
            case _:
                pass

    def _cut_short(self, name: str) -> None:
        """Cancelled in the middle of an attempt, which is kept as such."""
        number = self.run.attempts[name]
        if not any(past[:2] == (name, number) for past in self.past):
            self.past.append((name, number, "cancelled"))


HELD = (StepStatus.RUNNING, StepStatus.PAUSED)
