"""Whether a loaded function can still be called as a pinned definition wires it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from squid_mesh.definition.spec import ActionSpec, Injected, StepSpec
from squid_mesh.definition.values import Codec

ANYTHING = Codec(Any).digest
"""The digest of `Any`: the one type of which a digest alone tells that it accepts every other."""


def misfits(pinned: StepSpec, loaded: ActionSpec) -> tuple[str, ...]:
    """Why `loaded` can't run the pinned step, in sentences; none when it can.

    The wired parameters must be there, no other parameter may be required, and what goes in and
    comes out must be of the JSON schema it was: digests are compared, so any change counts, except
    that a parameter may widen to `Any` and an output that was `Any` may narrow. What is injected
    isn't stored, so its type may change.
    """
    return tuple(_misfits(pinned, loaded))


def _misfits(pinned: StepSpec, loaded: ActionSpec) -> Iterator[str]:
    if pinned.action is None:
        return  # a built-in step calls nothing
    took = {parameter.name: parameter.schema for parameter in pinned.action.parameters}
    takes = {parameter.name: parameter.schema for parameter in loaded.parameters}
    for name, wire in pinned.inputs.items():
        if name not in takes:
            yield f"parameter {name!r} is gone"
        elif not isinstance(wire, Injected) and takes[name] not in {took[name], ANYTHING}:
            yield f"parameter {name!r} takes another type"
    for parameter in loaded.parameters:
        if parameter.required and parameter.name not in pinned.inputs:
            yield f"parameter {parameter.name!r} is required, and nothing is wired to it"
    if pinned.action.output not in {loaded.output, ANYTHING}:
        yield "the output is of another type"
