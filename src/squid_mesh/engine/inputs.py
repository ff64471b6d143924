"""What a step is handed: a function of its wires and of what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    """What a run has stored so far, as JSON: outputs and errors by step."""

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
    """The JSON value at the other end of a wire. Raises `MissingPath`."""
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


def _referenced(ref: Reference, stored: Stored) -> Json:
    if ref.origin is Origin.PAYLOAD:
        return resolve(stored.payload, ref.path)
    shelf = stored.outputs if ref.origin is Origin.OUTPUT else stored.errors
    if ref.step not in shelf:
        if ref.optional:
            return None
        raise MissingPath(f"{ref} has not been produced")
    return resolve(shelf[ref.step], ref.path)
