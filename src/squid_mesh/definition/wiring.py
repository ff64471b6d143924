"""Turns what stands in `takes(…)` into wires, and says what can't be wired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from squid_mesh.definition.actions import name_of
from squid_mesh.definition.annotations import NoSuchPath, accepts_none, follow, show
from squid_mesh.definition.flow import End, Way
from squid_mesh.definition.handed import Decision, StepContext, StepFailure
from squid_mesh.definition.nodes import Approval, Node, Unbound
from squid_mesh.definition.payload import Payload
from squid_mesh.definition.reference import Broken, Ref
from squid_mesh.definition.spec import (
    Constant,
    DictOf,
    Injected,
    ListOf,
    Origin,
    Path,
    Reference,
    Wire,
)
from squid_mesh.definition.surroundings import Inject
from squid_mesh.definition.values import Codec, Unreadable, Unstorable, storable
from squid_mesh.errors import Problem


class Unwirable(Exception):
    """A value that can't be a wire, with the sentence that says why (and where, if elsewhere)."""

    def __init__(self, message: str | Problem) -> None:
        self.message = message
        super().__init__(str(message))


@dataclass(frozen=True, slots=True)
class Scope:
    """What references of one workflow may lead to: its payload, and what its steps return."""

    workflow: type
    payload: type[Payload]
    outputs: Mapping[Node, Any]

    def wire(self, value: Any, target: Codec) -> Wire:
        """A wire to a parameter of this type. Raises `Unwirable`."""
        if isinstance(value, Inject):
            return Injected(value.origin, None if value.type is None else name_of(value.type))
        if (why := target.check()) is not None:
            raise Unwirable(f"{why}: wire resource(…), context, connection() or session(…) to it")
        wire = self.stored(value)
        self._fits(wire, value, target)
        return wire

    def stored(self, value: Any) -> Wire:
        """A wire to something that is stored, or a constant. Raises `Unwirable`."""
        match value:
            case Broken():
                raise Unwirable(value._mesh_problem)
            case Ref():
                return self._reference(value)
            case list() | tuple() if not hasattr(value, "_fields"):
                return _list([self.stored(item) for item in value])
            case dict():
                return _dict({_key(key): self.stored(item) for key, item in value.items()})
            case _:
                return _constant(value)

    def _fits(self, wire: Wire, value: Any, target: Codec) -> None:
        if isinstance(wire, Constant):
            try:
                target.load(wire.value)
            except Unreadable as error:
                raise Unwirable(f"the constant {value!r} {error}") from None
        elif isinstance(wire, Reference) and wire.optional and not accepts_none(target.annotation):
            raise Unwirable(
                f"optional(…) may be None, but the parameter is {show(target.annotation)}: "
                f"annotate it {show(target.annotation)} | None"
            )

    def _reference(self, ref: Ref) -> Reference:
        origin, path = ref._mesh_origin, ref._mesh_path
        if origin is Origin.PAYLOAD:
            return Reference(origin, None, self._payload_path(ref), ref._mesh_optional)
        node = ref._mesh_node
        if node is None or self.workflow not in node.owners:
            raise Unwirable(f"{node!r} is no step of this workflow: a run reads only its own steps")
        annotation = StepFailure if origin is Origin.ERROR else self._output(node)
        return Reference(origin, node.names[0], _path(annotation, path), ref._mesh_optional)

    def _output(self, node: Node) -> Any:
        return Decision if isinstance(node, Approval) else self.outputs.get(node, Any)

    def _payload_path(self, ref: Ref) -> Path:
        owner = ref._mesh_owner
        if owner is None or not issubclass(self.payload, owner):
            name = getattr(owner, "__name__", owner)
            raise Unwirable(
                f"reads {name}, but this workflow's payload is {self.payload.__name__}: "
                f"write class {self.workflow.__name__}(Workflow[{name}])"
            )
        return _path(self.payload, ref._mesh_path)


def _path(annotation: Any, path: Path) -> Path:
    try:
        return follow(annotation, path)[1]
    except NoSuchPath as error:
        raise Unwirable(str(error)) from None


def _list(items: list[Wire]) -> Wire:
    constants = [item.value for item in items if isinstance(item, Constant)]
    return Constant(constants) if len(constants) == len(items) else ListOf(tuple(items))


def _dict(items: dict[str, Wire]) -> Wire:
    constants = {key: item.value for key, item in items.items() if isinstance(item, Constant)}
    return Constant(constants) if len(constants) == len(items) else DictOf(items)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise Unwirable(f"the key {key!r} is no text: JSON objects have text keys")
    return key


def _constant(value: Any) -> Constant:
    if (advice := _misplaced(value)) is not None:
        raise Unwirable(advice)
    try:
        constant = to_jsonable_python(value, inf_nan_mode="constants")
        storable(to_json(constant, inf_nan_mode="constants"))
    except (PydanticSerializationError, Unstorable, ValueError):
        raise Unwirable(
            f"the constant {value!r} can't be stored as JSON: pass something that can, wire "
            "references by themselves or in a list, tuple or dict, or wire a resource"
        ) from None
    return Constant(constant)


def _misplaced(value: Any) -> str | None:
    """Advice for things that are no values but are often written where one belongs."""
    match value:
        case Node():
            return f"{value!r} is a step: write {_name(value)}.output"
        case Unbound():
            return "this step has no inputs yet: call .takes(…) on it, then wire its .output"
        case Inject():
            return f"{value.origin} can't stand in a list or a dict: wire it to a parameter"
        case End() | Way():
            return "a transition is no value: write it in flow"
        case type() if value is StepContext:
            return "StepContext is a type: wire `context`"
        case type() if issubclass(value, Payload):
            return f"{value.__name__} is a type: wire whole({value.__name__}), or one of its fields"
        case type():
            return f"{value.__name__} is a type: wire resource({value.__name__})"
        case _:
            return None


def _name(node: Node) -> str:
    return node.names[0] if node.names else "step"
