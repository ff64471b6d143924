"""Workflows as specs: a builder that reads like a definition, and strategies that write any.

    flow(edge("fetch", "post"), edge("post", COMPLETE), edge("post", "record", Exit.ERROR))
    joins(fetch=[], parse=["fetch"], rank=["fetch"], post=["parse", "rank"])

What is built isn't validated. What the strategies write is what validation would let through.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from squid_mesh.definition.spec import (
    COMPLETE,
    ActionSpec,
    EdgeSpec,
    Exit,
    Json,
    Origin,
    PayloadSpec,
    Reference,
    StepKind,
    StepSpec,
    TriggerSpec,
    Wire,
    WorkflowSpec,
)


def edge(step: str, to: str, on: Exit = Exit.OK) -> EdgeSpec:
    return EdgeSpec(step, on, to)


def when(step: str, to: str, *, output: Json) -> EdgeSpec:
    return EdgeSpec(step, Exit.WHEN, to, output)


def action(
    name: str, *, inputs: dict[str, Wire] | None = None, after: Iterable[str] = ()
) -> StepSpec:
    return StepSpec(
        name,
        StepKind.ACTION,
        output=name,
        action=ActionSpec(f"tests:{name}"),
        inputs=inputs or {},
        after=tuple(after),
    )


def gate(name: str, *, after: Iterable[str] = ()) -> StepSpec:
    return StepSpec(name, StepKind.APPROVAL, output=name, after=tuple(after))


def flow(*edges: EdgeSpec) -> WorkflowSpec:
    """A flow of the steps that the edges name, in that order; what can be approved is a gate."""
    names = dict.fromkeys(name for e in edges for name in (e.step, e.to) if name != COMPLETE)
    gates = {e.step for e in edges if e.on in GATE_EXITS}
    return _workflow([gate(n) if n in gates else action(n) for n in names], edges)


def joins(**needs: Iterable[str]) -> WorkflowSpec:
    """A dependency workflow: for each step the steps that it is declared to come after."""
    return depending(*(action(name, after=after) for name, after in needs.items()))


def depending(*steps: StepSpec) -> WorkflowSpec:
    """A dependency workflow of steps that say themselves what they need."""
    return _workflow(steps)


def _workflow(steps: Iterable[StepSpec], edges: Iterable[EdgeSpec] = ()) -> WorkflowSpec:
    return WorkflowSpec(
        "Example",
        flow=bool(edges),
        triggers=(TriggerSpec("manual", "manual"),),
        payload=PayloadSpec("tests:NoPayload"),
        steps=tuple(steps),
        edges=tuple(edges),
    )


# Strategies

GATE_EXITS = frozenset({Exit.APPROVED, Exit.REJECTED, Exit.TIMEOUT})

EXITS: tuple[tuple[tuple[Exit, Json], ...], ...] = (
    ((Exit.OK, None),),
    ((Exit.OK, None), (Exit.ERROR, None)),
    ((Exit.WHEN, True), (Exit.WHEN, False)),
    ((Exit.WHEN, 1), (Exit.WHEN, True), (Exit.OK, None), (Exit.ERROR, None)),
    ((Exit.OK, None), (Exit.WHEN, "small")),
    ((Exit.APPROVED, None), (Exit.REJECTED, None)),
    ((Exit.TIMEOUT, None), (Exit.REJECTED, None), (Exit.APPROVED, None)),
)
"""Ways out that a step can have at once."""


@st.composite
def flows(draw: st.DrawFn, most: int = 7) -> WorkflowSpec:
    """Any acyclic flow whose steps can all be reached from the first."""
    names = _names(draw, most)
    edges: list[EdgeSpec] = []
    reached = {names[0]}
    for place, name in enumerate(names):
        if name not in reached:
            continue
        targets = st.sampled_from([*names[place + 1 :], COMPLETE])
        out = [EdgeSpec(name, on, draw(targets), v) for on, v in draw(st.sampled_from(EXITS))]
        reached |= {e.to for e in out}
        edges += out
    return flow(*draw(st.permutations(edges)))


@st.composite
def dependency_graphs(draw: st.DrawFn, most: int = 6) -> WorkflowSpec:
    """Any acyclic graph; its steps wait for others because of `after`, of wires, or of both."""
    names = _names(draw, most)
    steps: list[StepSpec] = []
    for place, name in enumerate(names):
        needs = st.lists(st.sampled_from(names[:place]), unique=True) if place else st.just([])
        wires = {need: Reference(Origin.OUTPUT, need) for need in draw(needs)}
        steps.append(
            gate(name, after=draw(needs))
            if draw(st.integers(0, 4)) == 4
            else action(name, inputs={"what": WHAT, **wires}, after=draw(needs))
        )
    return depending(*draw(st.permutations(steps)))


WHAT = Reference(Origin.PAYLOAD, path=("what",))


def _names(draw: st.DrawFn, most: int) -> list[str]:
    return [f"step_{number}" for number in range(draw(st.integers(1, most)))]
