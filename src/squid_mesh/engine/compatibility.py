"""Whether a loaded function can still be called as a pinned definition wires it."""

from __future__ import annotations

from collections.abc import Iterator

from squid_mesh.definition.spec import ActionSpec, Injected, StepSpec


def misfits(pinned: StepSpec, loaded: ActionSpec) -> tuple[str, ...]:
    """Why `loaded` can't run the pinned step, in sentences; none when it can.

    The names of the wired parameters must be there, no new parameter may be required, and what goes
    in and comes out must still be of the same JSON schema.
    """
    return tuple(_misfits(pinned, loaded))


def _misfits(pinned: StepSpec, loaded: ActionSpec) -> Iterator[str]:
    parameters = {parameter.name: parameter for parameter in loaded.parameters}
    was = {parameter.name: parameter for parameter in pinned.action.parameters} if pinned.action else {}
    for name, wire in pinned.inputs.items():
        if name not in parameters:
            yield f"parameter {name!r} is gone"
        elif not isinstance(wire, Injected) and was[name].schema != parameters[name].schema:
            yield f"parameter {name!r} takes another type"
    for parameter in loaded.parameters:
        if parameter.required and parameter.name not in pinned.inputs:
            yield f"parameter {parameter.name!r} is new and required"
    if pinned.action is not None and pinned.action.output != loaded.output:
        yield "the output is of another type"
