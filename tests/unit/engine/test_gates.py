"""Which paused step a decision is about: one row a situation."""

import pytest

from squid_mesh.definition.spec import StepKind, StepSpec
from squid_mesh.engine.gates import (
    LEAVES,
    Another,
    Choice,
    Chosen,
    Decided,
    Gate,
    NoneWaits,
    Several,
    choose,
    gate_of,
)

PAUSE, APPROVAL, INTERRUPTION = Gate.PAUSE, Gate.APPROVAL, Gate.INTERRUPTION


@pytest.mark.parametrize(
    ("kind", "interrupted", "gate"),
    [
        (StepKind.PAUSE, False, PAUSE),
        (StepKind.APPROVAL, False, APPROVAL),
        (StepKind.ACTION, True, INTERRUPTION),
        (StepKind.APPROVAL, True, INTERRUPTION),
    ],
)
def test_a_paused_step_waits_for_what_it_is(
    kind: StepKind, gate: Gate, *, interrupted: bool
) -> None:
    assert gate_of(StepSpec(name="a", kind=kind, output="a"), interrupted=interrupted) is gate


@pytest.mark.parametrize(
    ("paused", "gate", "step", "choice"),
    [
        ({}, PAUSE, None, NoneWaits()),
        ({}, PAUSE, "a", NoneWaits()),
        ({"a": PAUSE}, PAUSE, None, Chosen("a")),
        ({"a": PAUSE}, PAUSE, "a", Chosen("a")),
        ({"a": PAUSE, "b": APPROVAL}, APPROVAL, None, Chosen("b")),
        ({"a": PAUSE}, APPROVAL, None, Another("a", PAUSE)),
        ({"a": PAUSE, "b": INTERRUPTION}, APPROVAL, None, Another("a", PAUSE)),
        ({"a": PAUSE}, APPROVAL, "a", Another("a", PAUSE)),
        ({"a": PAUSE}, PAUSE, "b", Another("b", None)),
        ({"a": APPROVAL, "b": APPROVAL}, APPROVAL, None, Several(("a", "b"))),
        ({"a": APPROVAL, "b": APPROVAL}, APPROVAL, "b", Chosen("b")),
    ],
)
def test_a_decision_finds_its_step(
    paused: dict[str, Gate], gate: Gate, step: str | None, choice: Choice
) -> None:
    assert choose(paused, gate, step) == choice


def test_every_decision_is_about_a_gate() -> None:
    assert LEAVES.keys() == set(Decided)
