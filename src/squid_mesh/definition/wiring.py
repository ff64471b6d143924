"""Turns what stands in `takes(…)` into wires, and says what can't be wired."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from reprlib import repr as short
from typing import Any, cast

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from squid_mesh.definition.actions import name_of
from squid_mesh.definition.annotations import accepts_none, show
from squid_mesh.definition.flow import ClosedFlow, End, Way
from squid_mesh.definition.handed import Decision, StepContext, StepFailure
from squid_mesh.definition.navigation import NoSuchPath, follow
from squid_mesh.definition.nodes import Approval, Node, Unbound
from squid_mesh.definition.payload import Payload
from squid_mesh.definition.reference import Broken, Ref, Target, problem_of, target_of
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

    def __init__(self, problem: str | Problem) -> None:
        self.problem = problem if isinstance(problem, Problem) else Problem(problem)
        super().__init__(str(self.problem))


@dataclass(frozen=True, slots=True)
class Scope:
    """What references of one workflow may lead to: its payload, and what its steps return."""

    workflow: type
    payload: type[Payload]
    outputs: Mapping[Node, Any]

    def wire(self, value: Any, target: Codec) -> Wire:
        """A wire to a parameter of this type. Raises `Unwirable`."""
        if isinstance(value, Inject):
            return _injected(value)
        if (why := target.check()) is not None:
            raise Unwirable(f"{why}: wire resource(…), context, connection() or session(…) to it")
        wire = self.stored(value)
        _check_fit(wire, value, target)
        return wire

    def stored(self, value: Any) -> Wire:
        """A wire to something that is stored, or a constant. Raises `Unwirable`."""
        match value:
            case Broken():
                raise Unwirable(problem_of(value))
            case Ref():
                return self._reference(target_of(value))
            case list() | tuple() if not hasattr(cast("object", value), "_fields"):
                return _list(map(self.stored, cast("list[Any]", value)))
            case set() | frozenset():  # in an order of their own, or each process has another
                return _list(sorted(map(self.stored, cast("set[Any]", value)), key=_text))
            case dict():
                items = cast("dict[object, object]", value).items()
                return _dict({_key(key): self.stored(item) for key, item in items})
            case _:
                return _constant(value)

    def _reference(self, target: Target) -> Reference:
        if target.origin is Origin.PAYLOAD:
            return Reference(target.origin, None, self._payload_path(target), target.optional)
        node = target.node
        if node is None or self.workflow not in node.owners:
            raise Unwirable(_foreign(node))
        annotation = StepFailure if target.origin is Origin.ERROR else self._output(node)
        return Reference(target.origin, node.name, _path(annotation, target.path), target.optional)

    def _output(self, node: Node) -> Any:
        return Decision if isinstance(node, Approval) else self.outputs.get(node, Any)

    def _payload_path(self, target: Target) -> Path:
        owner = target.owner
        name = getattr(owner, "__name__", repr(owner))
        if not isinstance(owner, type) or not issubclass(owner, Payload):
            raise Unwirable(f"whole({name}) is no payload: write whole({self.payload.__name__})")
        if not issubclass(self.payload, owner) or (not target.path and owner is not self.payload):
            raise Unwirable(
                f"reads {name}, but this workflow's payload is {self.payload.__name__}: "
                f"write class {self.workflow.__name__}(Workflow[{name}])"
            )
        return _path(self.payload, target.path)


def _foreign(node: Node | None) -> str:
    if node is not None and node.owners:
        return (
            f"{node!r} is a step of {node.owners[0].__name__}: a run reads only its own steps. "
            "Declare it here too, or pass the value in the payload"
        )
    return "reads a step without a name: assign the step to one in the class body, and wire that"


def _injected(value: Inject) -> Injected:
    if value.type is None:
        return Injected(value.origin)
    if not isinstance(value.type, type):
        raise Unwirable(
            f"{value.origin}({value.type!r}) is no type: write {value.origin}(SomeClass), "
            "the class of the object that the mesh is given"
        )
    return Injected(value.origin, name_of(value.type))


def _check_fit(wire: Wire, value: Any, target: Codec) -> None:
    if isinstance(wire, Constant):
        _check_constant(wire, value, target)
    elif isinstance(wire, Reference) and wire.optional and not accepts_none(target.annotation):
        kind = show(target.annotation)
        raise Unwirable(
            f"optional(…) may be None, but the parameter is {kind}: annotate it {kind} | None"
        )


def _check_constant(wire: Constant, value: Any, target: Codec) -> None:
    if target.secret:
        raise Unwirable(
            "a secret can't be written in a definition, which is stored and shown: "
            "take it from the payload, or wire a resource that knows it"
        )
    try:
        target.load(wire.value)
    except Unreadable as error:
        raise Unwirable(f"the constant {short(value)} {error}: pass a value of that type") from None


def _path(annotation: Any, path: Path) -> Path:
    try:
        return follow(annotation, path)[1]
    except NoSuchPath as error:
        raise Unwirable(str(error)) from None


def _list(wires: Iterable[Wire]) -> Wire:
    items = list(wires)
    constants = [item.value for item in items if isinstance(item, Constant)]
    return Constant(constants) if len(constants) == len(items) else ListOf(tuple(items))


def _dict(items: dict[str, Wire]) -> Wire:
    constants = {key: item.value for key, item in items.items() if isinstance(item, Constant)}
    return Constant(constants) if len(constants) == len(items) else DictOf(items)


def _text(wire: Wire) -> bytes:
    return to_json(wire)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise Unwirable(f"the key {key!r} is no text: write {str(key)!r}, as JSON keys are text")
    return key


def _constant(value: Any) -> Constant:
    if (advice := _misplaced(value)) is not None:
        raise Unwirable(advice)
    try:
        constant = to_jsonable_python(value, by_alias=False, inf_nan_mode="constants")
        storable(to_json(constant, inf_nan_mode="constants"))
    except (PydanticSerializationError, Unstorable, ValueError):
        raise Unwirable(
            f"the constant {short(value)} can't be stored as JSON: pass something that can, wire "
            "references by themselves or in a list, tuple or dict, or wire a resource"
        ) from None
    return Constant(constant)


def _misplaced(value: Any) -> str | None:
    """Advice for things that are no values but are often written where one belongs."""
    advice = None
    match value:
        case Node():
            advice = f"{value!r} is a step: write {value.name}.output"
        case Unbound():
            advice = "this step has no inputs yet: call .takes(…) on it, then wire its .output"
        case Inject():
            advice = f"{value.origin} can't stand in a list or a dict: wire it to a parameter"
        case End() | Way() | ClosedFlow():
            advice = "a transition is no value: write it in flow"
        case type():
            advice = _misplaced_type(value)
        case _ if _holds_secret(value):
            advice = "a secret can't be written in a definition: take it from the payload"
        case _:
            pass
    return advice


def _holds_secret(value: Any) -> bool:
    if isinstance(value, BaseModel) or is_dataclass(value):
        return Codec(cast("Any", type(value))).secret
    return isinstance(value, SecretStr | SecretBytes)


def _misplaced_type(value: type) -> str:
    if value is StepContext:
        return "StepContext is a type: wire `context`"
    if issubclass(value, Payload):
        return f"{value.__name__} is a type: wire whole({value.__name__}), or one of its fields"
    return f"{value.__name__} is a type: wire resource({value.__name__})"
