"""Transitions as an author writes them: `a >> b >> complete`, `a.on_error >> c`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from squid_mesh.definition.source import author
from squid_mesh.definition.spec import Exit
from squid_mesh.errors import Source

if TYPE_CHECKING:
    from squid_mesh.definition.nodes import Linear, Node


class End:
    """The end of a run."""

    def __repr__(self) -> str:
        return "complete"

    if not TYPE_CHECKING:  # a checker refuses it; at run time it is told with all the rest

        def __rshift__(self, target: Any) -> Flow:
            return Way(self, Exit.OK, author()) >> target


complete = End()
"""Where a flow ends: `a >> complete`."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One `>>`, with the line it stands on. Node and target are whatever was written."""

    node: Any
    on: Exit
    target: Any
    value: Any
    source: Source


@dataclass(frozen=True, slots=True)
class Way:
    """A way out of a node, waiting for its `>>`."""

    node: Any
    on: Exit
    source: Source
    value: Any = None

    @overload
    def __rshift__(self, target: Linear) -> Flow: ...
    @overload
    def __rshift__(self, target: Node | End) -> ClosedFlow: ...
    def __rshift__(self, target: Node | End) -> ClosedFlow:
        return Flow((Arrow(self.node, self.on, target, self.value, author()),))


@dataclass(frozen=True, slots=True)
class ClosedFlow:
    """Arrows that end in `complete` or at a node with no plain way out."""

    arrows: tuple[Arrow, ...]


@dataclass(frozen=True, slots=True)
class Flow(ClosedFlow):
    """Arrows that can be gone on from with `>>`."""

    @overload
    def __rshift__(self, target: Linear) -> Flow: ...
    @overload
    def __rshift__(self, target: Node | End) -> ClosedFlow: ...
    def __rshift__(self, target: Node | End) -> ClosedFlow:
        last = self.arrows[-1].target
        return Flow((*self.arrows, Arrow(last, Exit.OK, target, None, author())))
