"""What an annotation says by itself: its alternatives, its values, its fields.

Knows annotations only; no value is looked at. `navigation` follows paths into them.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, NewType, TypeAliasType, TypeVar, Union, cast

from pydantic import BaseModel
from pydantic_core import to_jsonable_python


def bare(annotation: Any) -> Any:
    """The annotation without `Annotated`, aliases, `NewType` and the qualifiers of a TypedDict."""
    while True:
        origin = typing.get_origin(annotation)
        if origin is Annotated or origin in _QUALIFIERS:
            annotation = typing.get_args(annotation)[0]
        elif isinstance(origin, TypeAliasType):
            arguments = zip(origin.__type_params__, typing.get_args(annotation), strict=True)
            annotation = substituted(origin.__value__, dict(arguments))
        elif isinstance(annotation, TypeAliasType):
            annotation = annotation.__value__
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, TypeVar):
            annotation = annotation.__bound__ or Any
        else:
            return annotation


_QUALIFIERS = {typing.Required, typing.NotRequired, getattr(typing, "ReadOnly", None)} - {None}


def substituted(annotation: Any, arguments: Mapping[Any, Any]) -> Any:
    """The annotation with its type parameters replaced."""
    if isinstance(annotation, TypeVar):
        return arguments.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if not parameters or isinstance(annotation, type):
        return annotation
    return annotation[tuple(arguments.get(p, p) for p in parameters)]


def members(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union; any other annotation by itself."""
    annotation = bare(annotation)
    if typing.get_origin(annotation) in {Union, types.UnionType}:
        return tuple(m for arg in typing.get_args(annotation) for m in members(arg))
    return (annotation,)


def accepts_none(annotation: Any) -> bool:
    """Whether None is one of the values."""
    return any(m in {None, type(None), Any, object} or _names_none(m) for m in members(annotation))


def _names_none(annotation: Any) -> bool:
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


@dataclass(frozen=True, slots=True)
class Fields:
    """The named fields of a class, and how they are read and stored."""

    types: Mapping[str, Any]
    by_key: bool = False
    """Read as `["name"]` (a TypedDict), not as `.name`."""
    by_index: bool = False
    """Stored as a list (a NamedTuple), not as an object."""
    absent: frozenset[str] = frozenset()
    """Not always there."""


def class_of(annotation: Any) -> type[object] | None:
    """The class of an annotation, also of one with parameters (`list` of `list[int]`)."""
    owner = typing.get_origin(annotation) or annotation
    return cast("type[object]", owner) if isinstance(owner, type) else None


def fields(annotation: Any) -> Fields | None:
    """The named fields of a class that has them (its type parameters replaced), else None."""
    owner = class_of(annotation)
    if owner is None:
        return None
    if issubclass(owner, BaseModel):
        stored = {n: f.annotation for n, f in owner.model_fields.items() if not f.exclude}
        return Fields(stored)
    if dataclasses.is_dataclass(owner):
        return Fields(_hints(annotation, tuple(field.name for field in dataclasses.fields(owner))))
    if tuple in owner.__mro__ and hasattr(owner, "_fields"):
        names: tuple[str, ...] = getattr(owner, "_fields", ())
        return Fields(_hints(annotation, names), by_index=True)
    if typing.is_typeddict(owner):
        types = _hints(annotation, tuple(typing.get_type_hints(owner)))
        return Fields(types, by_key=True, absent=getattr(owner, "__optional_keys__", frozenset()))
    return None


def _hints(annotation: Any, names: tuple[str, ...]) -> dict[str, Any]:
    owner = typing.get_origin(annotation) or annotation
    arguments = typing.get_args(annotation)
    parameters = dict(zip(getattr(owner, "__parameters__", ()), arguments, strict=False))
    hints = typing.get_type_hints(owner, include_extras=True)
    return {name: substituted(hints[name], parameters) for name in names}


def show(annotation: Any) -> str:
    """An annotation as its author would write it."""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__qualname__
    return _MODULES.sub(r"\1", str(annotation))


_MODULES = re.compile(r"('[^']*')|(?:\b\w+\.)+(?=\w)")
"""Text in quotes, to be kept, or the modules before a name."""
