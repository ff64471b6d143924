"""A graph as Mermaid reads it. (The expected text was checked with Mermaid 11's own parser.)"""

import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squid_mesh import EdgeStatus, GraphEdge, GraphNode, Recovery, RunGraph, RunStatus, StepStatus
from squid_mesh.definition.spec import Exit, StepKind
from squid_mesh.inspection.drawing import mermaid


def node(name: str, kind: StepKind = StepKind.ACTION, status: str = "completed") -> GraphNode:
    return GraphNode(
        id=name,
        kind=kind,
        action=None,
        status=StepStatus(status),
        is_current=False,
        recovery=Recovery("retry", 0),
    )


def edge(
    source: str, target: str, on: Exit | str = Exit.OK, status: str = "taken", value: Any = None
) -> GraphEdge:
    return GraphEdge(
        id="x", source=source, target=target, on=on, value=value, status=EdgeStatus(status)
    )


def graph(nodes: list[GraphNode], edges: list[GraphEdge]) -> RunGraph:
    return RunGraph(
        run_id=UUID(int=1),
        workflow="W",
        definition="v",
        status=RunStatus.RUNNING,
        current_steps=(),
        nodes=tuple(nodes),
        edges=tuple(edges),
    )


DRAWN = """\
flowchart TD
  n0["end<br/>completed"]:::completed
  n1[/"say<br/>completed"/]:::completed
  n2(["nap<br/>scheduled"]):::scheduled
  n3{{"stop<br/>waiting"}}:::waiting
  n4{{"review<br/>waiting"}}:::waiting
  done(("complete"))
  n0 ==>|"#34;low#34;"| n1
  n0 -.->|"error"| n4
  n1 ==> n2
  n2 --> n3
  n3 --x n4
  n4 -->|"approved"| done
  classDef completed fill:#dcfce7,stroke:#16a34a
  classDef scheduled fill:#ede9fe,stroke:#7c3aed
  classDef waiting fill:#ffffff,stroke:#9ca3af
"""


def test_a_graph_is_drawn() -> None:
    """`end` is a word of Mermaid's: steps have numbers for names."""
    nodes = [
        node("end"),
        node("say", StepKind.LOG),
        node("nap", StepKind.WAIT, "scheduled"),
        node("stop", StepKind.PAUSE, "waiting"),
        node("review", StepKind.APPROVAL, "waiting"),
    ]
    edges = [
        edge("end", "say", Exit.WHEN, value="low"),
        edge("end", "review", Exit.ERROR, "skipped"),
        edge("say", "nap"),
        edge("nap", "stop", status="pending"),
        edge("stop", "review", "dependency", "blocked"),
        edge("review", "complete", Exit.APPROVED, "pending"),
    ]
    assert mermaid(graph(nodes, edges)) == DRAWN


TEXT = r"(?:[\w .,:\-]|\#\d+;|<br/>)*"
LINE = re.compile(
    r"""flowchart\ TD
      | \ \ n\d+ (?: \["@"\] | \[/"@"/\] | \(\["@"\]\) | \{\{"@"\}\} ) :::[a-z]+
      | \ \ done\(\("complete"\)\)
      | \ \ n\d+\ (?: ==> | --> | -\.-> | --x ) (?: \|"@"\| )? \ (?: n\d+ | done )
      | \ \ classDef\ [a-z]+\ [a-z-]+:[#\w]+ (?: ,[a-z-]+:[#\w]+ )*""".replace(
        "@", r"(?:[\w .,:\-]|\#\d+;|<br/>)*"
    ),
    re.VERBOSE,
)


@given(name=st.text(), value=st.recursive(st.none() | st.booleans() | st.text(), st.lists))
def test_no_name_and_no_value_breaks_the_drawing(name: str, value: Any) -> None:
    drawn = mermaid(graph([node(name)], [edge(name, "complete", Exit.WHEN, value=value)]))
    for line in drawn.split("\n")[:-1]:
        assert LINE.fullmatch(line), line


@pytest.mark.parametrize("status", StepStatus)
def test_every_status_has_a_colour(status: StepStatus) -> None:
    assert f"classDef {status} " in mermaid(graph([node("a", status=status)], []))
