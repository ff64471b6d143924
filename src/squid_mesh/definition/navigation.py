"""Follows paths into annotations: `output.email`, `output["amount"]`, `output[0]`.

A path is checked against the type and translated to where the value stands in stored JSON.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import RootModel

from squid_mesh.definition.annotations import Fields, class_of, fields, members, show
from squid_mesh.definition.hints import hint
from squid_mesh.definition.reference import Attribute
from squid_mesh.definition.spec import Path

_INSIDE = "wire the whole value and take it apart inside the step"


class NoSuchPath(LookupError):
    """A path that leads nowhere, with the sentence that says why."""


def follow(annotation: Any, path: Path) -> tuple[Any, Path]:
    """The annotation that a path leads to, and the path into the stored JSON.

    Raises `NoSuchPath` where the path doesn't lead on.
    """
    stored: Path = ()
    for segment in path:
        annotation, way = _enter(annotation, segment)
        stored = (*stored, *way)
    return annotation, stored


def _enter(annotation: Any, segment: str | int) -> tuple[Any, Path]:
    target, *others = members(annotation)
    if others:
        raise NoSuchPath(
            f"{_written(segment)} leads into {show(annotation)}, which isn't always the same: "
            f"{_INSIDE}"
        )
    if target in _ANYTHING:
        return Any, (_plain(segment),)
    if _is_root(target) and segment == "root":
        return target.model_fields["root"].annotation, ()
    named = fields(target)
    return _item(target, segment) if named is None else _field(target, named, segment)


_ANYTHING = (Any, object)


def _is_root(target: Any) -> bool:
    """Whether it is a `RootModel`, which is stored as what it holds."""
    return isinstance(target, type) and issubclass(target, RootModel)


def _field(target: Any, named: Fields, segment: str | int) -> tuple[Any, Path]:
    names = list(named.types)
    if isinstance(segment, int):
        if not named.by_index or segment >= len(names):
            raise NoSuchPath(_astray(target, named, segment))
        return named.types[names[segment]], (segment,)
    if segment not in named.types:
        raise NoSuchPath(
            f"{_written(segment)} is not among what is stored of {show(target)}: "
            f"write one of {', '.join(names) or '(none)'}{hint(segment, names)}"
        )
    if named.by_key == isinstance(segment, Attribute):
        raise NoSuchPath(_astray(target, named, segment))
    if segment in named.absent:
        raise NoSuchPath(f"{_written(segment)} of {show(target)} isn't always there: {_INSIDE}")
    return named.types[segment], (names.index(segment) if named.by_index else str(segment),)


def _astray(target: Any, named: Fields, segment: str | int) -> str:
    name = segment if segment in named.types else next(iter(named.types), "name")
    right = f'["{name}"]' if named.by_key else f".{name}"
    return f"{_written(segment)} doesn't lead into {show(target)}: write {right}"


def _item(target: Any, segment: str | int) -> tuple[Any, Path]:
    owner, args = class_of(target) or type(None), typing.get_args(target)
    if issubclass(owner, str | bytes | bytearray):
        owner = type(None)
    if issubclass(owner, Mapping):
        if isinstance(segment, str) and not isinstance(segment, Attribute):
            return (args[1] if args else Any), (segment,)
        raise NoSuchPath(f'{_written(segment)} doesn\'t lead into {show(target)}: write ["key"]')
    if not issubclass(owner, Sequence):
        raise NoSuchPath(
            f"{_written(segment)} leads into {show(target)}, which has no parts: {_INSIDE}"
        )
    if not isinstance(segment, int):
        raise NoSuchPath(f"{_written(segment)} doesn't lead into {show(target)}: write [0]")
    if not issubclass(owner, tuple) or args[-1:] == (Ellipsis,) or not args:
        return (args[0] if args else Any), (segment,)
    if segment >= len(args):
        raise NoSuchPath(
            f"[{segment}] is beyond the end of {show(target)}: it has {len(args)} items"
        )
    return args[segment], (segment,)


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
