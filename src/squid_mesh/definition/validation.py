"""The rules that a spec must keep, whatever it came from: a class body or a document.

Each rule is a function of the spec that yields findings: the place it is about and a sentence that
says what to write instead. Rules that need the code itself (signatures, types) are `compile`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from squid_mesh.definition.rules import inputs, order, steps, transitions, triggers
from squid_mesh.definition.rules.finding import Finding, Place
from squid_mesh.definition.spec import WorkflowSpec

__all__ = ["Finding", "Place", "findings", "findings_of_graph", "findings_of_parts"]

type Rule = Callable[[WorkflowSpec], Iterable[Finding]]

_PARTS: tuple[Rule, ...] = (
    triggers.triggers,
    steps.steps,
    steps.outputs,
    transitions.edges,
    transitions.deadlines,
    inputs.contents,
)
_GRAPH: tuple[tuple[Rule, ...], ...] = (
    (steps.names, transitions.ends, transitions.exits, order.after, inputs.sources),
    (order.entry, order.cycles),
    (inputs.produced,),
)
"""Each needs what those before it have established, and would only add noise without."""


def findings(spec: WorkflowSpec) -> list[Finding]:
    """Everything that is wrong with a spec."""
    return findings_of_parts(spec) + findings_of_graph(spec)


def findings_of_parts(spec: WorkflowSpec) -> list[Finding]:
    """What is wrong with single declarations, however they hang together."""
    return [finding for rule in _PARTS for finding in rule(spec)]


def findings_of_graph(spec: WorkflowSpec) -> list[Finding]:
    """What is wrong with how declarations hang together."""
    found: list[Finding] = []
    for rules in _GRAPH:
        broken = [finding for rule in rules for finding in rule(spec)]
        found += broken
        if broken:
            break
    return found
