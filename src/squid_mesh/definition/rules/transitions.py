"""Rules on transitions: every way out of every step leads to one place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from squid_mesh.definition.annotations import same
from squid_mesh.definition.hints import hint, label
from squid_mesh.definition.rules.finding import Finding
from squid_mesh.definition.spec import COMPLETE, EdgeSpec, Exit, StepKind, StepSpec, WorkflowSpec

EXITS = {
    StepKind.ACTION: (Exit.OK, Exit.WHEN, Exit.ERROR),
    StepKind.LOG: (Exit.OK,),
    StepKind.WAIT: (Exit.OK,),
    StepKind.PAUSE: (Exit.OK,),
    StepKind.APPROVAL: (Exit.APPROVED, Exit.REJECTED, Exit.TIMEOUT),
}


def edges(spec: WorkflowSpec) -> Iterator[Finding]:
    """Each transition is one that its step has, and is written once."""
    for index, edge in enumerate(spec.edges):
        place = ("edge", index)
        step = spec.by_name.get(edge.step)
        if not spec.flow:
            yield Finding(
                place,
                "dependency-based workflows cannot declare transitions: set flow, or use after",
            )
        if step is not None and edge.on not in EXITS[step.kind]:
            yield Finding(place, _unsupported(step, edge.on))
        if any(_same_exit(edge, earlier) for earlier in spec.edges[:index]):
            way = in_words(edge.on, edge.value)
            yield Finding(
                place,
                f"duplicate transition declared from {edge.step!r} on {way}: "
                "a way out leads to one place, so remove one of them",
            )


def ends(spec: WorkflowSpec) -> Iterator[Finding]:
    """Each transition goes from a step to a step, or to the end."""
    for index, edge in enumerate(spec.edges):
        if edge.step not in spec.by_name:
            close = hint(edge.step, spec.by_name)
            message = f"transition references unknown step: {edge.step!r}{close}"
            yield Finding(("edge", index), message)
        if edge.to != COMPLETE and edge.to not in spec.by_name:
            close = hint(edge.to, spec.by_name)
            message = f"transition targets unknown step: {edge.to!r}{close}"
            yield Finding(("edge", index), message)


def exits(spec: WorkflowSpec) -> Iterator[Finding]:
    """Every way in which a step can end leads somewhere."""
    for step in spec.steps if spec.flow else ():
        out = [edge for edge in spec.edges if edge.step == step.name]
        if out or any(edge.to == step.name for edge in spec.edges):
            rule = _gate if step.kind is StepKind.APPROVAL else _plain
            yield from (Finding(("step", step.name), message) for message in rule(step, out))


def deadlines(spec: WorkflowSpec) -> Iterator[Finding]:
    """A deadline needs a way out for the day it passes, which only a flow can give."""
    timeouts = {edge.step for edge in spec.edges if edge.on is Exit.TIMEOUT}
    for step in spec.steps:
        if step.kind is not StepKind.APPROVAL:
            continue
        if step.deadline is not None and step.name not in timeouts:
            where = "" if spec.flow else " in a flow"
            yield Finding(
                ("step", step.name),
                f"approval {step.name!r} has a deadline but no way out when it passes: "
                f"write {step.name}.on_timeout >> …{where}",
            )
        if step.deadline is None and step.name in timeouts:
            yield Finding(
                ("step", step.name),
                f"approval {step.name!r} has an on_timeout but no deadline: "
                "write approval(deadline=timedelta(days=2))",
            )


def in_words(way: Exit, value: Any = None) -> str:
    """A way out as an author writes it."""
    match way:
        case Exit.OK:
            return ">>"
        case Exit.WHEN:
            return f"when({value!r})"
        case _:
            return f"on_{way}"


def _unsupported(step: StepSpec, way: Exit) -> str:
    shown = {Exit.OK: ">>", Exit.WHEN: "when(…)"}
    ways = ", ".join(shown.get(w, in_words(w)) for w in EXITS[step.kind])
    has_no = shown.get(way, in_words(way))
    return f"{label(step.kind, step.name)} has no {has_no}: write one of its ways out, {ways}"


def _same_exit(left: EdgeSpec, right: EdgeSpec) -> bool:
    return (left.step, left.on) == (right.step, right.on) and same(left.value, right.value)


def _gate(step: StepSpec, out: list[EdgeSpec]) -> Iterator[str]:
    ways = {edge.on for edge in out}
    for way in (Exit.APPROVED, Exit.REJECTED):
        if way not in ways:
            yield (
                f"approval {step.name!r} must define both on_approved and on_rejected: "
                f"write {step.name}.{in_words(way)} >> …"
            )


def _plain(step: StepSpec, out: list[EdgeSpec]) -> Iterator[str]:
    ways = {edge.on for edge in out}
    if Exit.WHEN in ways and step.kind is StepKind.ACTION:
        yield from _branches(step, out)
    elif Exit.OK not in ways:
        yield f"{label(step.kind, step.name)} has no way out: write {step.name} >> complete"


def _branches(step: StepSpec, out: list[EdgeSpec]) -> Iterator[str]:
    cases = step.action.cases if step.action else None
    if cases is None:
        yield (
            f"step {step.name!r} has when(…), but its output is no closed set of values: "
            "annotate what it returns as a Literal, an Enum or bool"
        )
        return
    values = [edge.value for edge in out if edge.on is Exit.WHEN]
    if strange := _without(values, cases):
        yield f"step {step.name!r} never returns {_list(strange)}: write one of {_list(cases)}"
    if all(edge.on is not Exit.OK for edge in out) and (left := _without(cases, values)):
        yield (
            f"step {step.name!r} has no way out for {_list(left)}: "
            f"write {step.name}.when(…) for each, or {step.name} >> … for the rest"
        )


def _without(values: tuple[Any, ...] | list[Any], others: tuple[Any, ...] | list[Any]) -> list[Any]:
    return [value for value in values if not any(same(value, other) for other in others)]


def _list(values: tuple[Any, ...] | list[Any]) -> str:
    return ", ".join(map(repr, values))
