"""The graph that a run is pinned to, with the ways it has taken. Drawing is in `drawing.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python

from squid_mesh.definition.handed import StepFailure
from squid_mesh.definition.spec import Exit, Json, StepKind
from squid_mesh.engine.states import RunStatus, StepStatus
from squid_mesh.inspection.drawing import mermaid
from squid_mesh.inspection.models import Attempt, Recovery

DEPENDENCY = "dependency"
"""What an edge of a dependency workflow is `on`."""


class EdgeStatus(StrEnum):
    """Where an edge stands.

    * `TAKEN`: the run went along it; a dependency has been met.
    * `SKIPPED`: its step ended another way, or is never arrived at.
    * `BLOCKED`: its step failed, or was cancelled, so nothing can come along it any more.
    * `PENDING`: it may still be taken.
    """

    TAKEN = "taken"
    SKIPPED = "skipped"
    PENDING = "pending"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """A step. What may hold personal data is None (and `attempts` empty) unless asked for."""

    id: str
    kind: StepKind
    action: str | None
    status: StepStatus
    is_current: bool
    input: Mapping[str, Any] | None = field(default=None, repr=False)
    output: Any = field(default=None, repr=False)
    error: StepFailure | None = None
    attempts: tuple[Attempt, ...] = ()
    recovery: Recovery


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphEdge:
    """A transition `on` a way out of its step (`value` is a `when`'s), or a dependency.

    `target` is "complete" where a flow ends. `id` is the same in every run of a definition.
    """

    id: str
    source: str
    target: str
    on: Exit | str
    value: Json = None
    status: EdgeStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGraph:
    """A run on its own definition, whatever is declared now. Nodes in the order of declaration."""

    run_id: UUID
    workflow: str
    definition: str
    status: RunStatus
    current_steps: tuple[str, ...]
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]

    def to_dict(self) -> dict[str, Any]:
        """The graph as JSON-able values, with ids that stay."""
        shown: dict[str, Any] = to_jsonable_python(self)
        return shown

    def to_mermaid(self) -> str:
        """The graph as a Mermaid flowchart, coloured by status."""
        return mermaid(self)
