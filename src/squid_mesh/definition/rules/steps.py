"""Rules on each step by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

from squid_mesh.definition.durations import seconds
from squid_mesh.definition.hints import hint, label
from squid_mesh.definition.paths import HAS_OUTPUT
from squid_mesh.definition.rules.finding import Finding, repeated
from squid_mesh.definition.spec import (
    COMPLETE,
    ActionSpec,
    Constant,
    DictOf,
    Injected,
    ListOf,
    Reference,
    StepKind,
    StepSpec,
    Wire,
    WorkflowSpec,
)
from squid_mesh.definition.values import Unreadable

RESERVED = frozenset({COMPLETE, "flow", "payload"})
"""Names that mean something else in a class body or a flow."""

_ACTION = re.compile(r"[\w.]+:[\w.]+")
_EVERY = frozenset({"name", "kind", "output", "after"})
_OPTIONS = {
    StepKind.ACTION: frozenset(
        {"action", "inputs", "retry", "timeout", "queue", "on_interrupt", "formerly"}
    ),
    StepKind.LOG: frozenset({"message", "level"}),
    StepKind.WAIT: frozenset({"duration"}),
    StepKind.PAUSE: frozenset[str](),
    StepKind.APPROVAL: frozenset({"deadline"}),
}


def steps(spec: WorkflowSpec) -> Iterator[Finding]:
    """There is a step, and each is whole."""
    if not spec.steps:
        yield Finding(None, "at least one step is required: write `name = step(function).takes(…)`")
    for step in spec.steps:
        for rule in (_names, _options, _timers, _action, _retry):
            yield from (Finding(("step", step.name), message) for message in rule(step))


def names(spec: WorkflowSpec) -> Iterator[Finding]:
    """No two steps share a name."""
    yield from repeated("step", (step.name for step in spec.steps))


def outputs(spec: WorkflowSpec) -> Iterator[Finding]:
    """No two steps share the name of an output."""
    first: dict[str, str] = {}
    for step in spec.steps:
        if step.kind in HAS_OUTPUT and first.setdefault(step.output, step.name) != step.name:
            yield Finding(
                ("step", step.name),
                f"steps {first[step.output]!r} and {step.name!r} both call their output "
                f"{step.output!r}: give one of them another output=…",
            )


def _names(step: StepSpec) -> Iterator[str]:
    if step.name in RESERVED or not step.name.isidentifier():
        yield f"a step can't be named {step.name!r}: write an identifier that means nothing else"
    if not step.output.isidentifier():
        yield (
            f"{_label(step)} defines an invalid output name {step.output!r}: "
            'write an identifier, output="digest"'
        )


def _options(step: StepSpec) -> Iterator[str]:
    """A document may give any step any option."""
    for option in fields(step):
        stray = option.name not in _EVERY | _OPTIONS[step.kind]
        if stray and getattr(step, option.name) not in (None, (), {}, "retry"):
            yield f"{_label(step)} can't have {option.name}: leave it out"
    if step.queue is not None and not step.queue.strip():
        yield f'{_label(step)} names an empty queue: write queue="mail", or leave it out'
    if step.timeout is not None and step.timeout <= 0:
        yield f"{_label(step)} requires a positive timeout: write timeout=timedelta(seconds=30)"
    if step.kind is StepKind.LOG and not (step.message and step.message.strip()):
        yield f'{_label(step)} requires a non-empty message: write log("…")'
    if step.kind is StepKind.LOG and step.level is None:
        yield f'{_label(step)} requires a level: write level="info"'


def _timers(step: StepSpec) -> Iterator[str]:
    if step.kind is StepKind.WAIT and not _is_positive(step.duration):
        yield f"{_label(step)} requires a positive duration: write wait(timedelta(minutes=5))"
    if step.deadline is not None and not _is_positive(step.deadline):
        yield f"{_label(step)} requires a positive deadline: write deadline=timedelta(days=2)"


def _is_positive(wire: Wire | None) -> bool:
    """Whether a delay is more than nothing, or known only when the run is under way."""
    match wire:
        case Reference():
            return True
        case Constant(value):
            try:
                return seconds(value) > 0
            except Unreadable:
                return False
        case _:
            return False


def _action(step: StepSpec) -> Iterator[str]:
    """A step has an action, and no other kind has."""
    if step.action is None:
        if step.kind is StepKind.ACTION:
            yield f"{_label(step)} names no action: write the function that it calls"
        return
    for action in (step.action.name, *step.formerly):
        if not _ACTION.fullmatch(action):
            yield f'{_label(step)} names the action {action!r}: write "module:function"'
    yield from _wired(step, step.action)


def _wired(step: StepSpec, action: ActionSpec) -> Iterator[str]:
    """What is wired is what the function takes."""
    function = action.name.rpartition(":")[2]
    takes = {parameter.name: parameter for parameter in action.parameters}
    for name, wire in step.inputs.items():
        if name not in takes:
            yield f"{function} has no parameter {name!r}{hint(name, takes)}: wire one that it has"
        yield from (f"input {name!r} of {_label(step)}: {why}" for why in _untyped(wire))
    for name, parameter in takes.items():
        if parameter.required and name not in step.inputs:
            yield f"input {name!r} of {function} is not wired: add {name}=… to takes()"
    if len(several := step.transactional()) > 1:
        named = " and ".join(map(repr, several))
        yield (
            f"{_label(step)} has {len(several)} transactions, {named}, and its result can commit "
            "with one: leave one connection() or session(…), and make it serve the whole step"
        )


def _untyped(wire: Wire) -> Iterator[str]:
    match wire:
        case Injected(origin, type=None) if origin in {"resource", "session"}:
            yield f"{origin} names no type: write {origin}(SomeClass)"
        case ListOf(items) if any(isinstance(item, Injected) for item in items):
            yield "what is injected can't stand in a list: wire it to a parameter"
        case DictOf(items) if any(isinstance(item, Injected) for item in items.values()):
            yield "what is injected can't stand in a dict: wire it to a parameter"
        case _:
            pass


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
            f"retry for {step.name!r} defines an invalid backoff: write positive delays, "
            "min not greater than max"
        )


def _label(step: StepSpec) -> str:
    return label(step.kind, step.name)
