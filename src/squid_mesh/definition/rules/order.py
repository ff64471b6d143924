"""Rules on the graph as a whole: it has a beginning, no circle, and reaches every step."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError

from squid_mesh.definition.hints import hint, label
from squid_mesh.definition.paths import facts
from squid_mesh.definition.rules.finding import Finding
from squid_mesh.definition.spec import StepSpec, WorkflowSpec


def after(spec: WorkflowSpec) -> Iterator[Finding]:
    """`after` names other steps, in a workflow that has no flow."""
    for step in spec.steps:
        for message in _after(spec, step):
            yield Finding(("step", step.name), message)


def _after(spec: WorkflowSpec, step: StepSpec) -> Iterator[str]:
    for name in step.after:
        if name == step.name:
            yield f"{label(step.kind, name)} cannot depend on itself: remove it from after"
        elif name not in spec.by_name:
            close = hint(name, spec.by_name)
            yield (
                f"{label(step.kind, step.name)} depends on unknown step {name!r}{close}: "
                "write the name of a step in after"
            )
    if spec.flow and step.after:
        yield (
            f"{label(step.kind, step.name)} has after=, but this workflow has a flow: "
            "write its place in the flow with >>, or remove the flow"
        )


def entry(spec: WorkflowSpec) -> Iterator[Finding]:
    """A flow begins at one step, and leads to all others."""
    if not spec.flow:
        return
    if not spec.edges:
        yield Finding(("flow", ""), "flow is empty: write a >> b >> complete, or remove it")
        return
    sources = {edge.step for edge in spec.edges}
    targets = {edge.to for edge in spec.edges}
    begin = [step for step in spec.steps if step.name not in targets]
    for step in begin:
        if step.name not in sources:
            yield Finding(
                ("step", step.name),
                f"{label(step.kind, step.name)} can't be reached: "
                "give it a place in the flow with >>, or remove it",
            )
    entries = [step.name for step in begin if step.name in sources]
    for name in entries[1:]:
        yield Finding(
            ("step", name),
            "workflow must define exactly one entry step, but nothing leads to "
            f"{name!r} and the flow begins at {entries[0]!r}: lead to one of them with >>",
        )


def cycles(spec: WorkflowSpec) -> Iterator[Finding]:
    """Nothing comes after itself; needs every name in the graph to be a step's."""
    try:
        facts(spec)
    except CycleError as error:
        circle: list[str] = error.args[1]
        way = " >> ".join(reversed(circle)) if not spec.flow else " >> ".join(circle)
        kind = "flow" if spec.flow else "dependency graph"
        yield Finding(
            ("step", circle[0]),
            f"workflow {kind} must be acyclic, but goes in a circle ({way}): "
            "end it somewhere, and repeat by starting another run",
        )
