"""Draws a run's graph as text for Mermaid (https://mermaid.js.org)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from squid_mesh.definition.spec import COMPLETE, Exit, StepKind

if TYPE_CHECKING:
    from squid_mesh.inspection.graph import GraphEdge, GraphNode, RunGraph

_SHAPES = {
    StepKind.ACTION: ("[", "]"),
    StepKind.LOG: ("[/", "/]"),
    StepKind.WAIT: ("([", "])"),
    StepKind.PAUSE: ("{{", "}}"),
    StepKind.APPROVAL: ("{{", "}}"),
}
"""A box for what calls a function, a hexagon for what waits for a person, and so on."""

_LINES = {"taken": "==>", "pending": "-->", "skipped": "-.->", "blocked": "--x"}

_COLOURS = {
    "running": "fill:#dbeafe,stroke:#2563eb",
    "pending": "fill:#f3f4f6,stroke:#6b7280",
    "scheduled": "fill:#ede9fe,stroke:#7c3aed",
    "paused": "fill:#fef3c7,stroke:#d97706",
    "completed": "fill:#dcfce7,stroke:#16a34a",
    "failed": "fill:#fee2e2,stroke:#dc2626",
    "cancelled": "fill:#e5e7eb,stroke:#374151",
    "waiting": "fill:#ffffff,stroke:#9ca3af",
    "skipped": "fill:#ffffff,stroke:#d1d5db,stroke-dasharray:4",
}


def mermaid(graph: RunGraph) -> str:
    """A flowchart: nodes are numbered, as a step may be called what Mermaid reserves."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: RunGraph) -> Iterator[str]:
    names = {node.id: f"n{place}" for place, node in enumerate(graph.nodes)} | {COMPLETE: "done"}
    yield "flowchart TD"
    for node in graph.nodes:
        yield f"  {names[node.id]}{_box(node)}:::{node.status}"
    if any(edge.target == COMPLETE for edge in graph.edges):
        yield f'  done(("{COMPLETE}"))'
    for edge in graph.edges:
        yield f"  {names[edge.source]} {_LINES[edge.status]}{_label(edge)} {names[edge.target]}"
    for status in dict.fromkeys(node.status for node in graph.nodes):
        yield f"  classDef {status} {_COLOURS[status]}"


def _box(node: GraphNode) -> str:
    left, right = _SHAPES[node.kind]
    return f'{left}"{_escaped(node.id)}<br/>{node.status}"{right}'


def _label(edge: GraphEdge) -> str:
    if edge.on is Exit.WHEN:
        return f'|"{_escaped(json.dumps(edge.value, ensure_ascii=False))}"|'
    return f'|"{edge.on}"|' if isinstance(edge.on, Exit) and edge.on is not Exit.OK else ""


def _escaped(text: str) -> str:
    """Text within quotes: whatever means something to Mermaid or to HTML goes as its number."""
    plain = (c.isalnum() or c in " _-.,:" for c in text)
    return "".join(c if ok else f"#{ord(c)};" for c, ok in zip(text, plain, strict=True))
