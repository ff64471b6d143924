"""What a step is handed: a function of its wires and of what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from squid_mesh.definition.spec import (
    Constant,
    DictOf,
    Injected,
    Json,
    ListOf,
    Origin,
    Reference,
    StepSpec,
    Wire,
)
from squid_mesh.definition.values import MissingPath, resolve


@dataclass(frozen=True, slots=True)
class Stored:
    """What a run has stored so far, as JSON: outputs and errors by step.

    A step that left nothing (it never ran, or is a built-in one) has no entry, which is not the
    same as an output of None.
    """

    payload: Json
    outputs: Mapping[str, Json]
    errors: Mapping[str, Json]


class InvalidInput(ValueError):
    """Inputs that what is stored doesn't hold, all of them."""


def stored_inputs(step: StepSpec, stored: Stored) -> dict[str, Json]:
    """The step's inputs as JSON, without what is injected. Raises `InvalidInput`."""
    inputs: dict[str, Json] = {}
    missing: list[str] = []
    for name, wire in step.inputs.items():
        if isinstance(wire, Injected):
            continue
        try:
            inputs[name] = read(wire, stored)
        except MissingPath as error:
            missing.append(f"input {name!r}: {error}")
    if missing:
        raise InvalidInput("; ".join(missing))
    return inputs


def read(wire: Wire, stored: Stored) -> Json:
    """The JSON value at the other end of a wire. Raises `MissingPath`, which names the wire."""
    match wire:
        case Constant(value):
            return value
        case ListOf(items):
            return [read(item, stored) for item in items]
        case DictOf(items):
            return {key: read(item, stored) for key, item in items.items()}
        case Reference():
            return _referenced(wire, stored)
        case Injected():
            raise MissingPath(f"{wire.origin} is injected, not stored")
        case _:
            assert_never(wire)


def _referenced(ref: Reference, stored: Stored) -> Json:
    match ref:
        case Reference(Origin.PAYLOAD):
            value = stored.payload
        case Reference(Origin.OUTPUT, str(step)) if step in stored.outputs:
            value = stored.outputs[step]
        case Reference(Origin.ERROR, str(step)) if step in stored.errors:
            value = stored.errors[step]
        case Reference(optional=True):
            return None
        case _:
            raise MissingPath(f"{ref} has not been produced")
    try:
        return resolve(value, ref.path)
    except MissingPath as error:
        raise MissingPath(f"{ref}: {error}") from None
