"""The rules that a spec must keep, whatever it came from: a class body or a document.

Each rule is a function of the spec that yields findings: the place it is about and a sentence that
says what to write instead. Rules that need the code itself (signatures, annotations) are `compile`'s.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import CycleError
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from squid_mesh.definition.annotations import same
from squid_mesh.definition.durations import seconds
from squid_mesh.definition.hints import hint
from squid_mesh.definition.paths import HAS_OUTPUT, NOTHING, Facts, facts
from squid_mesh.definition.spec import (
    COMPLETE,
    Constant,
    EdgeSpec,
    Exit,
    Origin,
    Reference,
    StepKind,
    StepSpec,
    WorkflowSpec,
    references,
)

type Place = tuple[str, str | int] | None
"""What a finding is about: ("step", name), ("edge", index), ("trigger", name) or the whole."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule and its place."""

    place: Place
    message: str


RESERVED = frozenset({COMPLETE, "flow", "payload"})
"""Names that mean something else in a class body or a flow."""

_ACTION = re.compile(r"[\w.]+:[\w.]+")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

EXITS = {
    StepKind.ACTION: (Exit.OK, Exit.WHEN, Exit.ERROR),
    StepKind.LOG: (Exit.OK,),
    StepKind.WAIT: (Exit.OK,),
    StepKind.PAUSE: (Exit.OK,),
    StepKind.APPROVAL: (Exit.APPROVED, Exit.REJECTED, Exit.TIMEOUT),
}


def findings(spec: WorkflowSpec) -> list[Finding]:
    """Everything that is wrong with a spec. Rules on paths need a sound graph, so they come last."""
    found = [finding for rule in _RULES for finding in rule(spec)]
    if _is_whole(spec):
        found += _cycles(spec) or ([] if any(f.place is None for f in found) else _inputs(spec))
    return found


def _is_whole(spec: WorkflowSpec) -> bool:
    """Whether every name in the graph is a step's, so that ways can be followed."""
    named = {name for edge in spec.edges for name in (edge.step, edge.to)} - {COMPLETE}
    named |= {name for names in spec.dependencies.values() for name in names}
    return named <= spec.by_name.keys()


def in_words(way: Exit, value: Any = None) -> str:
    """A way out as an author writes it."""
    match way:
        case Exit.OK:
            return ">>"
        case Exit.WHEN:
            return f"when({value!r})"
        case _:
            return f"on_{way}"


# -- triggers ------------------------------------------------------------------------------------


def _triggers(spec: WorkflowSpec) -> Iterator[Finding]:
    for trigger in spec.triggers:
        if trigger.kind == "cron":
            place = ("trigger", trigger.name)
            yield from (Finding(place, message) for message in _cron(trigger.name, trigger))
    if not spec.triggers:
        yield Finding(None, "at least one trigger is required: write `manual()` or `cron(…)`")
    yield from _repeated("trigger", (t.name for t in spec.triggers))


def _cron(name: str, trigger: Any) -> Iterator[str]:
    if not trigger.expression or not trigger.timezone:
        yield (
            f"trigger {name!r} must define a cron expression and timezone: "
            'write cron("0 9 * * 1-5", timezone="Etc/UTC")'
        )
        return
    try:
        CronSim(trigger.expression, _EPOCH)
    except CronSimError as error:
        yield (
            f"trigger {name!r} has no valid cron expression ({error}): write five fields, minute "
            'hour day month weekday, such as "0 9 * * 1-5"'
        )
    if not _is_timezone(trigger.timezone):
        yield (
            f"trigger {name!r} names the unknown timezone {trigger.timezone!r}: "
            'write an IANA name such as "Europe/Lisbon"'
        )
    if trigger.max_missed is not None and trigger.max_missed < 1:
        yield f"trigger {name!r} needs a positive max_missed"


def _is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


# -- steps, each by itself -----------------------------------------------------------------------


def _steps(spec: WorkflowSpec) -> Iterator[Finding]:
    if not spec.steps:
        yield Finding(None, "at least one step is required: write `name = step(function).takes(…)`")
    yield from _repeated("step", (step.name for step in spec.steps))
    for step in spec.steps:
        yield from (Finding(("step", step.name), message) for message in _step(step))


def _step(step: StepSpec) -> Iterator[str]:
    name = step.name
    if name in RESERVED:
        yield f"a step can't be named {name!r}, which means something else here: rename it"
    if not step.output.isidentifier():
        yield f"step {name!r} defines an invalid output name {step.output!r}: write an identifier"
    if step.kind is StepKind.LOG and not (step.message or "").strip():
        yield f'log {name!r} requires a non-empty message: write log("…")'
    if step.kind is StepKind.WAIT and not _is_positive(step.duration):
        yield f"wait {name!r} requires a positive duration: write wait(timedelta(minutes=5))"
    if step.deadline is not None and not _is_positive(step.deadline):
        yield f"approval {name!r} requires a positive deadline: write deadline=timedelta(days=2)"
    if step.timeout is not None and step.timeout <= 0:
        yield f"step {name!r} requires a positive timeout: write timeout=timedelta(seconds=30)"
    if step.queue is not None and not step.queue.strip():
        yield f'step {name!r} names an empty queue: write queue="mail", or leave it out'
    for former in step.formerly:
        if not _ACTION.fullmatch(former):
            yield f'step {name!r}: formerly={former!r} is no action: write "module:function"'
    yield from _retry(step)


def _is_positive(wire: Any) -> bool:
    """Whether a delay is more than nothing, or known only when the run is under way."""
    return not isinstance(wire, Constant | None) or (wire is not None and seconds(wire.value) > 0)


def _retry(step: StepSpec) -> Iterator[str]:
    if (retry := step.retry) is None:
        return
    if retry.max_attempts < 1:
        yield (
            f"retry for {step.name!r} must define a positive max_attempts "
            "(it counts the first try): write Retry(max_attempts=3)"
        )
    backoff = retry.backoff
    if backoff is not None and not 0 < backoff.min <= backoff.max:
        yield (
            f"retry for {step.name!r} defines an invalid backoff: the delays must be positive and "
            "min not greater than max"
        )


def _outputs(spec: WorkflowSpec) -> Iterator[Finding]:
    by_output: dict[str, str] = {}
    for step in spec.steps:
        if step.kind in HAS_OUTPUT and step.output in by_output:
            first = by_output[step.output]
            yield Finding(
                ("step", step.name),
                f"steps {first!r} and {step.name!r} both call their output {step.output!r}: "
                "give one of them another output=…",
            )
        by_output.setdefault(step.output, step.name)


# -- dependencies --------------------------------------------------------------------------------


def _after(spec: WorkflowSpec) -> Iterator[Finding]:
    for step in spec.steps:
        for name in step.after:
            place = ("step", step.name)
            if name == step.name:
                yield Finding(place, f"step {name!r} cannot depend on itself")
            elif name not in spec.by_name:
                close = hint(name, list(spec.by_name))
                yield Finding(place, f"step {step.name!r} depends on unknown step {name!r}{close}")
        if spec.flow and step.after:
            yield Finding(
                ("step", step.name),
                f"step {step.name!r} has after=, but this workflow has a flow: "
                "write its place in the flow with >>, or remove the flow",
            )


def _approvals(spec: WorkflowSpec) -> Iterator[Finding]:
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


# -- transitions ---------------------------------------------------------------------------------


def _edges(spec: WorkflowSpec) -> Iterator[Finding]:
    for index, edge in enumerate(spec.edges):
        place = ("edge", index)
        if edge.step not in spec.by_name:
            yield Finding(place, f"transition references unknown step: {edge.step!r}")
        elif edge.on not in EXITS[spec.by_name[edge.step].kind]:
            yield Finding(place, _unsupported(spec.by_name[edge.step], edge.on))
        if edge.to != COMPLETE and edge.to not in spec.by_name:
            yield Finding(place, f"transition targets unknown step: {edge.to!r}")
        if any(_same_exit(edge, earlier) for earlier in spec.edges[:index]):
            way = in_words(edge.on, edge.value)
            yield Finding(
                place,
                f"duplicate transition declared from {edge.step!r} on {way}: "
                "a way out leads to one place, and is written once",
            )


def _unsupported(step: StepSpec, way: Exit) -> str:
    ways = ", ".join(in_words(w, "…") for w in EXITS[step.kind])
    return f"{step.kind} {step.name!r} has no {in_words(way, '…')}: its ways out are {ways}"


def _same_exit(left: EdgeSpec, right: EdgeSpec) -> bool:
    return (left.step, left.on) == (right.step, right.on) and same(left.value, right.value)


def _exits(spec: WorkflowSpec) -> Iterator[Finding]:
    """Every way a step can end leads somewhere."""
    if not spec.flow:
        return
    for step in spec.steps:
        edges = [edge for edge in spec.edges if edge.step == step.name]
        if not edges and all(edge.to != step.name for edge in spec.edges):
            yield Finding(
                ("step", step.name),
                f"step {step.name!r} can't be reached: give it a place in the flow, or remove it",
            )
            continue
        yield from (Finding(("step", step.name), message) for message in _missing(step, edges))


def _missing(step: StepSpec, edges: list[EdgeSpec]) -> Iterator[str]:
    ways = {edge.on for edge in edges}
    if step.kind is StepKind.APPROVAL:
        for way in (Exit.APPROVED, Exit.REJECTED):
            if way not in ways:
                yield (
                    f"approval {step.name!r} must define both on_approved and on_rejected: "
                    f"write {step.name}.{in_words(way)} >> …"
                )
        return
    values = [edge.value for edge in edges if edge.on is Exit.WHEN]
    cases = step.action.cases if step.action else None
    if values and cases is None:
        yield (
            f"step {step.name!r} has when(…), but its output is no closed set of values: "
            "annotate what it returns as a Literal, an Enum or bool"
        )
    elif strange := [v for v in values if not any(same(v, c) for c in cases or ())]:
        yield (
            f"step {step.name!r} never returns {', '.join(map(repr, strange))}: "
            f"its values are {', '.join(map(repr, cases or ()))}"
        )
    if Exit.OK in ways:
        return
    if not values:
        yield f"step {step.name!r} has no way out: write {step.name} >> complete"
    elif left := [c for c in cases or () if not any(same(c, v) for v in values)]:
        yield (
            f"step {step.name!r} has no way out for {', '.join(map(repr, left))}: "
            f"write {step.name}.when(…) for each, or {step.name} >> … for the rest"
        )


def _entry(spec: WorkflowSpec) -> Iterator[Finding]:
    if not spec.flow or not spec.steps:
        return
    targets = {edge.to for edge in spec.edges}
    sources = {edge.step for edge in spec.edges}
    entries = [s.name for s in spec.steps if s.name not in targets and s.name in sources]
    if len(entries) > 1:
        named = ", ".join(map(repr, entries))
        yield Finding(
            None,
            f"workflow must define exactly one entry step, but nothing leads to any of {named}: "
            "lead to all but the first with >>",
        )


# -- the graph as a whole ------------------------------------------------------------------------


def _cycles(spec: WorkflowSpec) -> list[Finding]:
    try:
        facts(spec)
    except CycleError as error:
        way = " >> ".join(reversed(error.args[1]))
        kind = "flow" if spec.flow else "dependency graph"
        return [Finding(None, f"workflow {kind} must be acyclic, but goes in a circle: {way}")]
    return []


def _inputs(spec: WorkflowSpec) -> list[Finding]:
    known = facts(spec)
    return [
        Finding(("step", step.name), message)
        for step in spec.steps
        for name, wire in step.wires().items()
        for reference in references(wire)
        if (message := _input(spec, step, name, reference, known.get(step.name, NOTHING)))
    ]


def _input(
    spec: WorkflowSpec, step: StepSpec, name: str, reference: Reference, known: Facts
) -> str | None:
    what = f"input {name!r} of step {step.name!r}"
    if reference.origin is Origin.PAYLOAD:
        return _payload_field(spec, what, reference)
    if reference.step not in spec.by_name:
        return f"{what} reads from unknown step {reference.step!r}"
    source = spec.by_name[reference.step]
    if reference.origin is Origin.OUTPUT and source.kind not in HAS_OUTPUT:
        return f"{what} reads the output of {source.name!r}, but a {source.kind} leaves none"
    fact = (source.name, reference.origin)
    if fact not in known.sometimes:
        return f"{what} reads {reference}, which no way to {step.name!r} produces"
    if fact not in known.always and not reference.optional:
        return (
            f"{what} reads {reference}, which isn't produced on every way to {step.name!r}: "
            f"write optional(…), and let the function take None"
        )
    return None


def _payload_field(spec: WorkflowSpec, what: str, reference: Reference) -> str | None:
    names = [field.name for field in spec.payload.fields]
    if reference.path and reference.path[0] not in names:
        close = hint(str(reference.path[0]), names)
        return f"{what} reads unknown payload field {reference.path[0]!r}{close}"
    return None


# -- shared --------------------------------------------------------------------------------------


def _repeated(what: str, names: Iterable[str]) -> Iterator[Finding]:
    twice = [repr(name) for name, n in Counter(names).items() if n > 1]
    if twice:
        yield Finding(None, f"duplicate {what} names: {', '.join(twice)}")


_RULES: tuple[Callable[[WorkflowSpec], Iterable[Finding]], ...] = (
    _triggers,
    _steps,
    _outputs,
    _after,
    _approvals,
    _edges,
    _exits,
    _entry,
)
