"""Which facts hold at a step, whichever way a run came to it.

A fact is "this step has an output" or "this step has failed". On an acyclic graph, what holds on
every way to a step is what holds on every edge into it, and what may hold is what holds on one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from graphlib import TopologicalSorter

from squid_mesh.definition.spec import (
    COMPLETE,
    EdgeSpec,
    Exit,
    Origin,
    StepKind,
    StepSpec,
    WorkflowSpec,
)

type Fact = tuple[str, Origin]


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds when a step begins: on every way there, and on at least one."""

    always: frozenset[Fact]
    sometimes: frozenset[Fact]


NOTHING = Facts(frozenset(), frozenset())

HAS_OUTPUT = frozenset({StepKind.ACTION, StepKind.APPROVAL})
"""The kinds of step that leave an output. (`log`, `wait` and `pause` leave none.)"""


def facts(spec: WorkflowSpec) -> Mapping[str, Facts]:
    """The facts at each step. Raises `graphlib.CycleError` for a graph with a cycle."""
    return _along_edges(spec) if spec.flow else _along_dependencies(spec)


def produced(kind: StepKind, edge: EdgeSpec) -> frozenset[Fact]:
    """What is new on an edge: nobody has decided on a timeout, and a failed step has an error."""
    if edge.on is Exit.ERROR:
        return frozenset({(edge.step, Origin.ERROR)})
    if kind not in HAS_OUTPUT or edge.on is Exit.TIMEOUT:
        return frozenset()
    return frozenset({(edge.step, Origin.OUTPUT)})


def _along_edges(spec: WorkflowSpec) -> dict[str, Facts]:
    into: dict[str, list[EdgeSpec]] = {step.name: [] for step in spec.steps}
    for edge in spec.edges:
        if edge.to != COMPLETE:
            into[edge.to].append(edge)
    found: dict[str, Facts] = {}
    for name in in_order({step: [e.step for e in edges] for step, edges in into.items()}):
        ways = (_along(edge, spec.by_name[edge.step], found[edge.step]) for edge in into[name])
        found[name] = reduce(_either, ways) if into[name] else NOTHING
    return found


def _along(edge: EdgeSpec, step: StepSpec, before: Facts) -> Facts:
    new = produced(step.kind, edge)
    return Facts(before.always | new, before.sometimes | new)


def _either(left: Facts, right: Facts) -> Facts:
    return Facts(left.always & right.always, left.sometimes | right.sometimes)


def _along_dependencies(spec: WorkflowSpec) -> dict[str, Facts]:
    """A step begins when all its dependencies have completed, so what one of them knows holds."""
    found: dict[str, Facts] = {}
    for name in in_order(spec.dependencies):
        known: frozenset[Fact] = frozenset()
        for dependency in spec.dependencies[name]:
            known |= found[dependency].always
            if spec.by_name[dependency].kind in HAS_OUTPUT:
                known |= {(dependency, Origin.OUTPUT)}
        found[name] = Facts(known, known)
    return found


def in_order(before: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Names so that each comes after those it needs. Raises `graphlib.CycleError`."""
    return tuple(TopologicalSorter(before).static_order())
