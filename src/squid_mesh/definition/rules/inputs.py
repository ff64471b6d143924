"""Rules on what is wired: it is there, whichever way a run came."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from squid_mesh.definition.hints import hint, label, word
from squid_mesh.definition.paths import HAS_OUTPUT, Facts, facts
from squid_mesh.definition.rules.finding import Finding
from squid_mesh.definition.spec import Origin, Reference, StepSpec, WorkflowSpec, references


def sources(spec: WorkflowSpec) -> Iterator[Finding]:
    """Each reference leads to the payload or to a step."""

    def problem(_: StepSpec, reference: Reference) -> str | None:
        return _unknown(spec, reference)

    yield from _each(spec, problem)


def contents(spec: WorkflowSpec) -> Iterator[Finding]:
    """What is read is there: a field of the payload, an output of a step that leaves one."""

    def problem(_: StepSpec, reference: Reference) -> str | None:
        return _absent(spec, reference)

    yield from _each(spec, problem)


def produced(spec: WorkflowSpec) -> Iterator[Finding]:
    """What is read was produced on every way there; needs a sound graph."""
    known = facts(spec)

    def problem(step: StepSpec, reference: Reference) -> str | None:
        return _missing(spec, step, reference, known[step.name])

    yield from _each(spec, problem)


def _each(
    spec: WorkflowSpec, problem: Callable[[StepSpec, Reference], str | None]
) -> Iterator[Finding]:
    for step in spec.steps:
        for name, wire in step.wires().items():
            for reference in references(wire):
                if (why := problem(step, reference)) is not None:
                    what = f"input {name!r} of {label(step.kind, step.name)}"
                    yield Finding(("step", step.name), f"{what} reads {why}")


def _unknown(spec: WorkflowSpec, reference: Reference) -> str | None:
    if reference.origin is Origin.PAYLOAD:
        if reference.step is None:
            return None
        return f"the payload of step {reference.step!r}, but a run has one payload: leave step out"
    if reference.step in spec.by_name:
        return None
    close = hint(reference.step or "", spec.by_name)
    return f"from unknown step {reference.step!r}{close}: name a step"


def _absent(spec: WorkflowSpec, reference: Reference) -> str | None:
    if reference.origin is Origin.PAYLOAD:
        return _absent_field(spec, reference)
    source = spec.by_name.get(reference.step or "")
    if source is not None and reference.origin is Origin.OUTPUT and source.kind not in HAS_OUTPUT:
        return (
            f"the output of {reference.step!r}, but a {word(source.kind)} leaves none: "
            "wire the output of a step or an approval"
        )
    return None


def _absent_field(spec: WorkflowSpec, reference: Reference) -> str | None:
    names = [field.name for field in spec.payload.fields]
    if reference.path and reference.path[0] not in names:
        close = hint(str(reference.path[0]), names)
        return f"unknown payload field {reference.path[0]!r}{close}: name a field of the payload"
    return None


def _missing(spec: WorkflowSpec, step: StepSpec, reference: Reference, known: Facts) -> str | None:
    if reference.step is None or _absent(spec, reference) is not None:
        return None
    fact = (reference.step, reference.origin)
    if fact in known.always or (reference.optional and fact in known.sometimes):
        return None
    if fact in known.sometimes:
        return (
            f"{reference}, which isn't produced on every way to {step.name!r}: "
            "write optional(…), and let the function take None"
        )
    if reference.origin is Origin.ERROR:
        where = "on the way" if spec.flow else "in a flow, on the way"
        return (
            f"{reference}, which no way to {step.name!r} produces: "
            f"write {reference.step}.on_error >> … {where} to it"
        )
    return (
        f"{reference}, which no way to {step.name!r} produces: "
        f"let {reference.step} come before it, or wire something else"
    )
