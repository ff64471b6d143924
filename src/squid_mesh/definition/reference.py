"""References: what stands in a class body for a value that a run will hold.

To a type checker a reference *is* the value (`DigestPayload.feed_url` is a `str`). At run time it
remembers where the value will be kept. It can be wired, and followed into (`.email`, `["amount"]`,
`[0]`); anything that would need the value itself is refused with the line it stands on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Never

from squid_mesh.definition.source import author
from squid_mesh.definition.spec import Origin, Path
from squid_mesh.errors import Problem, WorkflowDefinitionError

if TYPE_CHECKING:
    from squid_mesh.definition.nodes import Node

_COMPUTES = "a reference holds no value yet: compute with it inside a step"
_OPTIONAL = "optional(…) may be None: write the path inside, as in optional(step.output.email)"


class Attribute(str):
    """A segment of a path that was written `.name`, where a key is written `["name"]`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference refers to: a payload field, a step's output or error, and a path into it."""

    origin: Origin
    node: Node | None = None
    owner: type | None = None
    path: Path = ()
    optional: bool = False


class Ref:
    """A reference. It has no public names, as every name leads into the value."""

    __slots__ = ("__mesh_target__",)

    def __init__(self, target: Target) -> None:
        self.__mesh_target__ = target

    def _mesh_at(self, segment: str | int) -> Ref:
        target = self.__mesh_target__
        if target.optional:
            return Broken(_OPTIONAL)
        return Ref(replace(target, path=(*target.path, segment)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # protocols that Python or a library probes for
            raise AttributeError(name)
        return self._mesh_at(Attribute(name))

    def __getitem__(self, key: Any) -> Any:
        match key:
            case int() if key < 0:
                return Broken(f"[{key}] counts from the end: a path into a stored value can't")
            case str() | int() if not isinstance(key, bool):
                return self._mesh_at(key)
            case _:
                return Broken(f"[{key!r}] is no path into a stored value: use a key or an index")

    def __repr__(self) -> str:
        target = self.__mesh_target__
        return f"reference {'.'.join((target.origin, *map(str, target.path)))}"


class Broken(Ref):
    """A reference with a mistake in it, carried to where it is wired: all mistakes are told."""

    __slots__ = ("__mesh_problem__",)

    def __init__(self, message: str) -> None:
        super().__init__(Target(Origin.OUTPUT))
        self.__mesh_problem__ = Problem(message, author())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key: Any) -> Any:
        return self


def target_of(reference: Ref) -> Target:
    """What a reference refers to."""
    return reference.__mesh_target__


def problem_of(reference: Broken) -> Problem:
    """The mistake in a reference."""
    return reference.__mesh_problem__


def as_optional(reference: Ref) -> Ref:
    """The same reference, to a value that may not have been produced."""
    if isinstance(reference, Broken):
        return reference
    return Ref(replace(target_of(reference), optional=True))


def _carried(self: Ref, *_: Any, **__: Any) -> Broken:
    return self if isinstance(self, Broken) else Broken(_COMPUTES)


def _refused(_: Ref, *__: Any) -> Never:
    raise WorkflowDefinitionError("reference", [Problem(_COMPUTES, author())])


def _forbid(names: str, by: Callable[..., Any]) -> None:
    for name in names.split():
        setattr(Ref, f"__{name}__", by)


_forbid("add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod", _carried)
_forbid("pow rpow matmul rmatmul and rand or ror xor rxor lshift rlshift rshift rrshift", _carried)
_forbid("neg pos abs invert call lt le gt ge", _carried)
_forbid("bool str format iter len eq ne contains await int float", _refused)
Ref.__hash__ = None  # type: ignore[assignment]  # as everything whose equality can't be asked
