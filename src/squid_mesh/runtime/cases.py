"""What a decision makes of a paused step: pure, between what was read and what is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, assert_never
from uuid import UUID

import orjson

from squid_mesh.definition.handed import Decision
from squid_mesh.definition.spec import Exit
from squid_mesh.definition.values import Codec, Unstorable
from squid_mesh.engine.gates import (
    LEAVES,
    Another,
    Chosen,
    Decided,
    Gate,
    NoneWaits,
    Several,
    choose,
    gate_of,
)
from squid_mesh.engine.planner import (
    CountDown,
    EndReached,
    Fail,
    Following,
    Next,
    after_failure,
    follow,
)
from squid_mesh.engine.retry import Failed
from squid_mesh.engine.states import RunStatus, StepStatus
from squid_mesh.errors import (
    AmbiguousStep,
    IncompatibleCode,
    InvalidReview,
    InvalidStep,
    InvalidTransition,
)
from squid_mesh.runtime.catalog import Plan
from squid_mesh.runtime.facts import NO_FACTS, Facts

_CALLS: Mapping[Gate, str] = {
    Gate.PAUSE: "it waits at a pause: use unblock_run",
    Gate.APPROVAL: "it waits for an approval: use approve_run or reject_run",
    Gate.INTERRUPTION: "it was interrupted: use resolve_step",
}


@dataclass(frozen=True, slots=True)
class TryAgain:
    """An interrupted step gets another attempt."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """An interrupted step has failed: on to its error route, or the end of its run."""


@dataclass(frozen=True, slots=True)
class Supply:
    """An interrupted step has completed after all: this is what it would have returned."""

    output: Any


type Resolution = TryAgain | GiveUp | Supply


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody asks for. `how` is an interrupted step's."""

    decided: Decided
    facts: Facts = NO_FACTS
    step: str | None = None
    how: Resolution | None = None


TIMED_OUT = Asked(decided=Decided.TIMED_OUT)
"""What nobody asks for: a deadline has passed."""


@dataclass(frozen=True, slots=True)
class Paused:
    """A row of `read_paused`: a step that waits, or what its run is when none does."""

    status: str
    now: datetime
    step: str | None
    attempt: int
    claim: int | None
    error: str | None
    due_at: datetime | None
    started_at: datetime | None
    trigger: str
    trace: str | None
    inserted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What a paused step becomes, and where its run goes from there. `output`, `error`: JSON."""

    status: StepStatus
    output: str | None = None
    error: str | None = None
    next: str | None = None
    queue: str | None = None
    joins: tuple[str, ...] | None = None
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One decision about one paused step of a run."""

    run_id: UUID
    plan: Plan
    paused: Paused
    asked: Asked

    @property
    def step(self) -> str:
        """The step."""
        assert self.paused.step is not None, "a case is about a step"
        return self.paused.step

    def move(self) -> Move | Fail:
        """What is to be written. Raises `InvalidReview` or `IncompatibleCode`."""
        match self.asked.how:
            case TryAgain():
                return Move(status=StepStatus.PENDING)
            case GiveUp():
                return self._give_up()
            case Supply(output):
                return self._complete(self._supplied(output))
            case None:
                return self._complete(self._decision())
            case _:
                assert_never(self.asked.how)

    def _give_up(self) -> Move | Fail:
        following = after_failure(
            self.plan.graph, self.step, self.paused.attempt, _FOR_GOOD, policy=None, jitter=0.0
        )
        match following:
            case Next() | EndReached():
                move = Move(status=StepStatus.FAILED, error=self.paused.error)
                return self._onward(move, following)
            case _:
                return Fail()

    def _complete(self, output: bytes | None) -> Move:
        _, way = LEAVES[self.asked.decided]
        value = None if output is None or way is not Exit.OK else orjson.loads(output)
        stored = None if output is None else output.decode()
        move = Move(status=StepStatus.COMPLETED, output=stored)
        return self._onward(move, follow(self.plan.graph, self.step, way, value))

    def _onward(self, move: Move, following: Following) -> Move:
        match following:
            case Next(step):
                return replace(move, next=step, queue=self.plan.steps[step].operations.queue)
            case CountDown(steps):
                return replace(move, joins=steps)
            case EndReached():
                return replace(move, ends=True)
            case _:
                assert_never(following)

    def _decision(self) -> bytes | None:
        """What a review leaves; pauses and deadlines leave nothing."""
        facts = self.asked.facts
        if self.asked.decided not in _VERDICTS or facts.actor is None:
            return None
        decision = Decision(
            decision=_VERDICTS[self.asked.decided],
            actor=facts.actor if isinstance(facts.actor, str) else dict(facts.actor),
            comment=facts.comment,
            metadata=None if facts.metadata is None else dict(facts.metadata),
            decided_at=self.paused.now.astimezone(UTC),
        )
        return _decision.dump(decision)

    def _supplied(self, output: Any) -> bytes:
        """An output as the step's function would have left it."""
        planned = self.plan.steps[self.step]
        if planned.action is None:
            pinned = planned.spec.action
            raise IncompatibleCode(self.step if pinned is None else pinned.name, planned.misfits)
        try:
            return planned.action.output.dump(output)
        except Unstorable as error:
            raise InvalidReview({"output": str(error)}) from None


_decision = Codec(Decision)
_FOR_GOOD = Failed(retryable=False)
_VERDICTS: Mapping[Decided, Any] = {Decided.APPROVED: "approved", Decided.REJECTED: "rejected"}


def find(run_id: UUID, plan: Plan, paused: Sequence[Paused], asked: Asked) -> Case:
    """The case that is meant. Raises `InvalidTransition`, `InvalidStep` or `AmbiguousStep`."""
    by_name = {row.step: row for row in paused if row.step is not None}
    gates = {
        name: gate_of(plan.graph.step(name), interrupted=row.error is not None)
        for name, row in by_name.items()
    }
    wanted, _ = LEAVES[asked.decided]
    choice = choose(gates, wanted, asked.step)
    match choice:
        case Chosen(name):
            return Case(run_id, plan, by_name[name], asked)
        case NoneWaits():
            raise InvalidTransition(run_id, paused[0].status, RunStatus.RUNNING)
        case Another(name, gate):
            raise InvalidStep(run_id, name, _reason(plan, name, gate))
        case Several(names):
            raise AmbiguousStep(run_id, names)
        case _:
            assert_never(choice)


def _reason(plan: Plan, step: str, gate: Gate | None) -> str:
    if gate is not None:
        return _CALLS[gate]
    if step in plan.steps:
        return "it doesn't wait for a decision now"
    return f"its run's definition has no such step: it declares {', '.join(plan.steps)}"
