"""Which paused step somebody's decision is about, and by which way it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from squid_mesh.definition.spec import Exit, StepKind, StepSpec


class Gate(StrEnum):
    """What a paused step waits for."""

    PAUSE = "pause"
    APPROVAL = "approval"
    INTERRUPTION = "interruption"


class Decided(StrEnum):
    """What was decided, as the audit keeps it."""

    RESUMED = "resumed"
    APPROVED = "approved"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    RESOLVED = "resolved"


LEAVES: Mapping[Decided, tuple[Gate, Exit]] = {
    Decided.RESUMED: (Gate.PAUSE, Exit.OK),
    Decided.APPROVED: (Gate.APPROVAL, Exit.APPROVED),
    Decided.REJECTED: (Gate.APPROVAL, Exit.REJECTED),
    Decided.TIMED_OUT: (Gate.APPROVAL, Exit.TIMEOUT),
    Decided.RESOLVED: (Gate.INTERRUPTION, Exit.OK),
}
"""Which gate a decision is about, and the way that a step leaves by which it completes."""


def gate_of(step: StepSpec, *, interrupted: bool) -> Gate:
    """What a paused step waits for."""
    if interrupted:
        return Gate.INTERRUPTION
    return Gate.APPROVAL if step.kind is StepKind.APPROVAL else Gate.PAUSE


@dataclass(frozen=True, slots=True)
class Chosen:
    """The step that is meant."""

    step: str


@dataclass(frozen=True, slots=True)
class NoneWaits:
    """Nothing of the run waits for anybody."""


@dataclass(frozen=True, slots=True)
class Another:
    """The step that is named, or the only one there is, waits for `gate`; for nothing, if None."""

    step: str
    gate: Gate | None


@dataclass(frozen=True, slots=True)
class Several:
    """More than one waits for such a decision, and none was named."""

    steps: tuple[str, ...]


type Choice = Chosen | NoneWaits | Another | Several


def choose(paused: Mapping[str, Gate], gate: Gate, step: str | None) -> Choice:
    """Which of the paused steps a decision about a `gate` is about; `step` is the one named."""
    if not paused:
        return NoneWaits()
    if step is not None:
        found = paused.get(step)
        return Chosen(step) if found is gate else Another(step, found)
    match tuple(name for name, waits_for in paused.items() if waits_for is gate):
        case ():
            name, waits_for = next(iter(paused.items()))
            return Another(name, waits_for)
        case (name,):
            return Chosen(name)
        case names:
            return Several(names)
