"""The path analysis, compared with walking every path of random graphs."""

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squid_mesh.definition.paths import Fact, facts, in_order
from squid_mesh.definition.spec import (
    COMPLETE,
    ActionSpec,
    EdgeSpec,
    Exit,
    Origin,
    StepKind,
    StepSpec,
    WorkflowSpec,
)
from tests.unit.definition.specs import action, edge, output, workflow

WAYS = {
    StepKind.ACTION: (Exit.OK, Exit.WHEN, Exit.ERROR),
    StepKind.LOG: (Exit.OK,),
    StepKind.WAIT: (Exit.OK,),
    StepKind.PAUSE: (Exit.OK,),
    StepKind.APPROVAL: (Exit.APPROVED, Exit.REJECTED, Exit.TIMEOUT),
}


@st.composite
def flows(draw: st.DrawFn) -> WorkflowSpec:
    """A flow without cycles, of up to seven steps, in any order of declaration."""
    kinds = draw(st.lists(st.sampled_from(StepKind), min_size=1, max_size=7))
    steps = [StepSpec(f"s{n}", kind, f"s{n}") for n, kind in enumerate(kinds)]
    edges: list[EdgeSpec] = []
    for place, step in enumerate(steps):
        later = [*(s.name for s in steps[place + 1 :]), COMPLETE]
        edges += [
            EdgeSpec(step.name, way, draw(st.sampled_from(later)), "x")
            for way in WAYS[step.kind]
            if place == 0 or draw(st.booleans())
        ]
    return workflow(*draw(st.permutations(steps)), edges=tuple(edges))


@st.composite
def dependencies(draw: st.DrawFn) -> WorkflowSpec:
    """A dependency workflow of up to seven steps, with wires and `after`."""
    steps: list[StepSpec] = []
    for n in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(StepKind))
        names = [step.name for step in steps]
        before = st.lists(st.sampled_from(names), max_size=2) if names else st.just([])
        after = tuple(draw(before))
        wired = draw(before) if kind is StepKind.ACTION else []
        inputs = {f"x{i}": output(name) for i, name in enumerate(wired)}
        called = ActionSpec("m:f") if kind is StepKind.ACTION else None
        steps.append(StepSpec(f"s{n}", kind, f"s{n}", called, dict(inputs), after))
    return workflow(*draw(st.permutations(steps)))


@dataclass(frozen=True)
class Walk:
    """One way from an entry to a step."""

    edges: tuple[EdgeSpec, ...]
    end: str


def walks(spec: WorkflowSpec) -> Iterator[Walk]:
    targets = {edge.to for edge in spec.edges}
    unfinished = [Walk((), step.name) for step in spec.steps if step.name not in targets]
    while unfinished:
        walk = unfinished.pop()
        yield walk
        unfinished += [
            Walk((*walk.edges, edge), edge.to)
            for edge in spec.edges
            if edge.step == walk.end and edge.to != COMPLETE
        ]


def known_after(spec: WorkflowSpec, walk: Walk) -> set[Fact]:
    """What a run that came this way has stored."""
    known: set[Fact] = set()
    for taken in walk.edges:
        kind = spec.by_name[taken.step].kind
        if taken.on is Exit.ERROR:
            known.add((taken.step, Origin.ERROR))
        elif taken.on in {Exit.APPROVED, Exit.REJECTED} or kind is StepKind.ACTION:
            known.add((taken.step, Origin.OUTPUT))
    return known


@settings(max_examples=500)
@given(flows())
def test_on_a_flow_it_agrees_with_walking_every_way(spec: WorkflowSpec) -> None:
    every: dict[str, list[set[Fact]]] = {step.name: [] for step in spec.steps}
    for walk in walks(spec):
        every[walk.end].append(known_after(spec, walk))

    found = facts(spec)

    assert {name: set(f.always) for name, f in found.items()} == {
        name: set.intersection(*known) for name, known in every.items()
    }
    assert {name: set(f.sometimes) for name, f in found.items()} == {
        name: set.union(*known) for name, known in every.items()
    }


@settings(max_examples=300)
@given(dependencies())
def test_among_dependencies_it_agrees_with_running_in_every_order(spec: WorkflowSpec) -> None:
    """A step begins when its dependencies are done; as late as that can be seen to happen, which is
    with nothing else done, it knows the outputs of all that these needed."""
    found = facts(spec)

    for step in spec.steps:
        needed: set[str] = set()
        unfinished = list(spec.dependencies[step.name])
        while unfinished:
            name = unfinished.pop()
            needed.add(name)
            unfinished += spec.dependencies[name]
        stored = {
            (name, Origin.OUTPUT)
            for name in needed
            if spec.by_name[name].kind in {StepKind.ACTION, StepKind.APPROVAL}
        }
        assert set(found[step.name].always) == stored
        assert found[step.name].sometimes == found[step.name].always


@pytest.mark.parametrize(
    "spec",
    [
        workflow(action("a"), action("b"), edges=(edge("a", "b"), edge("b", "a"))),
        workflow(action("a", "b"), action("b", "a")),
    ],
)
def test_a_cycle_has_no_facts(spec: WorkflowSpec) -> None:
    with pytest.raises(CycleError):
        facts(spec)


@given(dependencies())
def test_in_order_is_every_name_after_those_it_needs(spec: WorkflowSpec) -> None:
    names = in_order(spec.dependencies)

    assert sorted(names) == sorted(spec.by_name)
    for name in names:
        assert set(spec.dependencies[name]) <= set(names[: names.index(name)])
