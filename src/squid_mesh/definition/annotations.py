"""What an annotation says about the JSON that it is stored as.

Follows paths into annotations (`output.email`, `output["amount"]`, `output[0]`), lists the values of
closed types, and knows what may be None. Knows annotations only; no value is looked at.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, NewType, TypeAliasType, Union

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from squid_mesh.definition.reference import Attribute


class NoSuchPath(LookupError):
    """A path that leads nowhere, with the sentence that says why."""


def bare(annotation: Any) -> Any:
    """The annotation without `Annotated`, aliases and `NewType`."""
    while True:
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, TypeAliasType):
            annotation = annotation.__value__
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        else:
            return annotation


def members(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union; any other annotation by itself."""
    annotation = bare(annotation)
    if typing.get_origin(annotation) in {Union, types.UnionType}:
        return tuple(m for arg in typing.get_args(annotation) for m in members(arg))
    return (annotation,)


def accepts_none(annotation: Any) -> bool:
    """Whether None is one of the values."""
    return any(m in {None, type(None), Any, object} or _literally_none(m) for m in members(annotation))


def _literally_none(annotation: Any) -> bool:
    return typing.get_origin(annotation) is Literal and None in typing.get_args(annotation)


def cases(annotation: Any) -> tuple[Any, ...] | None:
    """Every value of a `Literal`, an `Enum` or `bool` (or a union of these) as JSON, else None."""
    found: list[Any] = []
    for member in members(annotation):
        values = _values(member)
        if values is None:
            return None
        found += [v for v in values if not any(same(v, f) for f in found)]
    return tuple(found)


def _values(annotation: Any) -> list[Any] | None:
    if typing.get_origin(annotation) is Literal:
        return [to_jsonable_python(v) for v in typing.get_args(annotation)]
    if annotation is bool:
        return [True, False]
    if annotation in {None, type(None)}:
        return [None]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [to_jsonable_python(v) for v in annotation]
    return None


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal, without Python's `True == 1`."""
    return type(left) is type(right) and bool(left == right)


def follow(annotation: Any, path: Sequence[str | int]) -> tuple[Any, tuple[str | int, ...]]:
    """The annotation that a path leads to, and the path into the stored JSON.

    Raises `NoSuchPath` where the path doesn't lead on.
    """
    stored: list[str | int] = []
    for segment in path:
        annotation, key = _enter(annotation, segment)
        stored.append(key)
    return annotation, tuple(stored)


def _enter(annotation: Any, segment: str | int) -> tuple[Any, str | int]:
    alternatives = members(annotation)
    if len(alternatives) > 1:
        raise NoSuchPath(
            f"{_written(segment)} leads into {show(annotation)}, which isn't always the same: "
            "wire the whole value and take it apart inside the step"
        )
    (target,) = alternatives
    if target in {Any, object}:
        return Any, _plain(segment)
    fields = _fields(target)
    if fields is not None:
        return _field(target, fields, segment)
    return _item(target, segment)


def _fields(target: Any) -> dict[str, Any] | None:
    """The named fields of a class that has them, else None."""
    owner = typing.get_origin(target) or target
    if not isinstance(owner, type):
        return None
    if issubclass(owner, BaseModel):
        return {name: field.annotation for name, field in owner.model_fields.items()}
    if dataclasses.is_dataclass(owner):
        names = [field.name for field in dataclasses.fields(owner)]
    elif issubclass(owner, tuple) and hasattr(owner, "_fields"):
        names = list(owner._fields)
    elif typing.is_typeddict(owner):
        names = list(owner.__annotations__)
    else:
        return None
    hints = typing.get_type_hints(owner, include_extras=True)
    return {name: _required(hints[name]) for name in names}


def _required(annotation: Any) -> Any:
    """A TypedDict's field without `Required`, `NotRequired` and `ReadOnly`."""
    while typing.get_origin(annotation) in _QUALIFIERS:
        annotation = typing.get_args(annotation)[0]
    return annotation


_QUALIFIERS = {typing.Required, typing.NotRequired, getattr(typing, "ReadOnly", None)}


def _field(target: Any, fields: dict[str, Any], segment: str | int) -> tuple[Any, str | int]:
    names = list(fields)
    owner = typing.get_origin(target) or target
    is_tuple = issubclass(owner, tuple)
    if is_tuple and isinstance(segment, int) and segment < len(names):
        return fields[names[segment]], segment
    wants_item = typing.is_typeddict(owner)
    if wants_item == isinstance(segment, Attribute) or isinstance(segment, int):
        example = f'["{names[0]}"]' if wants_item else f".{names[0]}" if names else "no path"
        raise NoSuchPath(f"{_written(segment)} doesn't lead into {show(target)}: write {example}")
    if segment not in fields:
        what = "is not stored" if hasattr(owner, segment) else "is not there"
        raise NoSuchPath(
            f"{_written(segment)} of {show(target)} {what}; its fields are {', '.join(names)}"
        )
    return fields[segment], names.index(segment) if is_tuple else str(segment)


def _item(target: Any, segment: str | int) -> tuple[Any, str | int]:
    owner, args = typing.get_origin(target) or target, typing.get_args(target)
    if not isinstance(owner, type) or issubclass(owner, str | bytes):
        raise NoSuchPath(f"{_written(segment)} leads into {show(target)}, which has no parts")
    if issubclass(owner, Mapping) and not isinstance(segment, int | Attribute):
        return (args[1] if args else Any), segment
    if isinstance(segment, int) and issubclass(owner, tuple) and args and args[-1] is not Ellipsis:
        if segment < len(args):
            return args[segment], segment
        raise NoSuchPath(f"[{segment}] is beyond the end of {show(target)}")
    if isinstance(segment, int) and issubclass(owner, Sequence):
        return (args[0] if args else Any), segment
    raise NoSuchPath(f"{_written(segment)} doesn't lead into {show(target)}")


def _plain(segment: str | int) -> str | int:
    return str(segment) if isinstance(segment, str) else segment


def _written(segment: str | int) -> str:
    match segment:
        case Attribute():
            return f".{segment}"
        case str():
            return f'["{segment}"]'
        case _:
            return f"[{segment}]"


def show(annotation: Any) -> str:
    """An annotation as its author would write it."""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__qualname__
    return str(annotation).replace("typing.", "")
