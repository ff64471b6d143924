"""References: what stands in a class body for a value that a run will hold.

To a type checker a reference *is* the value (`DigestPayload.feed_url` is a `str`). At run time it
remembers where the value will be kept. It can be wired, and followed into (`.email`, `["amount"]`,
`[0]`); anything that would need the value itself is refused with the line it stands on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Never

from squid_mesh.definition.source import author
from squid_mesh.definition.spec import Origin, Path
from squid_mesh.errors import Problem, WorkflowDefinitionError

if TYPE_CHECKING:
    from squid_mesh.definition.nodes import Node

_COMPUTES = "a reference holds no value yet: compute with it inside a step"


class Attribute(str):
    """A segment of a path that was written `.name`, where a key is written `["name"]`."""

    __slots__ = ()


class Ref:
    """A payload field, a step's output or a step's error, and a path into it."""

    __slots__ = ("_mesh_node", "_mesh_optional", "_mesh_origin", "_mesh_owner", "_mesh_path")

    def __init__(
        self,
        origin: Origin,
        *,
        node: Node | None = None,
        owner: type | None = None,
        path: Path = (),
        optional: bool = False,
    ) -> None:
        self._mesh_origin = origin
        self._mesh_node = node
        self._mesh_owner = owner
        self._mesh_path = path
        self._mesh_optional = optional

    def _mesh_at(self, segment: str | int) -> Ref:
        return Ref(
            self._mesh_origin,
            node=self._mesh_node,
            owner=self._mesh_owner,
            path=(*self._mesh_path, segment),
            optional=self._mesh_optional,
        )

    def _mesh_as_optional(self) -> Ref:
        return Ref(
            self._mesh_origin,
            node=self._mesh_node,
            owner=self._mesh_owner,
            path=self._mesh_path,
            optional=True,
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # protocols that Python or a library probes for
            raise AttributeError(name)
        return self._mesh_at(Attribute(name))

    def __getitem__(self, key: Any) -> Any:
        match key:
            case bool() | slice():
                return Broken(f"[{key!r}] is no path into a stored value: use a key or an index")
            case int() if key < 0:
                return Broken(f"[{key}] counts from the end: a path into a stored value can't")
            case str() | int():
                return self._mesh_at(key)
            case _:
                return Broken(f"[{key!r}] is no path into a stored value: use a key or an index")

    def __repr__(self) -> str:
        return f"reference {'.'.join((self._mesh_origin, *map(str, self._mesh_path)))}"




class Broken(Ref):
    """A reference with a mistake in it, carried to where it is wired, so that all are told at once."""

    __slots__ = ("_mesh_problem",)

    def __init__(self, message: str) -> None:
        super().__init__(Origin.OUTPUT)
        self._mesh_problem = Problem(message, author())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key: Any) -> Any:
        return self


def _carried(self: Ref, *_: Any, **__: Any) -> Broken:
    return self if isinstance(self, Broken) else Broken(_COMPUTES)


def _refused(_: Ref, *__: Any) -> Never:
    raise WorkflowDefinitionError("reference", [Problem(_COMPUTES, author())])


def _forbid(names: str, by: Callable[..., Any]) -> None:
    for name in names.split():
        setattr(Ref, f"__{name}__", by)


_forbid("add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow", _carried)
_forbid("matmul rmatmul and rand or ror xor rxor neg pos abs invert call lt le gt ge", _carried)
_forbid("bool str format iter len eq ne contains await int float", _refused)
Ref.__hash__ = None  # type: ignore[assignment]  # as everything whose equality can't be asked
