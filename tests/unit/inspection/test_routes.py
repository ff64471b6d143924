"""Which edges a run has taken, from how its steps stand."""

from collections.abc import Mapping
from typing import Any

import pytest

from squid_mesh import StepStatus
from squid_mesh.definition.spec import EdgeSpec, Exit, PayloadSpec, StepKind, StepSpec, WorkflowSpec
from squid_mesh.engine.graph import Graph
from squid_mesh.inspection.routes import Routes, way_out

ACTIONS = ("ask", "yes", "no", "rescue", "last")


def flow() -> Graph:
    """A branch on data with an error route, an approval with a deadline, and a merge."""
    steps = [StepSpec(name, StepKind.ACTION, name) for name in ACTIONS]
    review = StepSpec("review", StepKind.APPROVAL, "review")
    edges = (
        EdgeSpec("ask", Exit.WHEN, "yes", value=True),
        EdgeSpec("ask", Exit.WHEN, "no", value=False),
        EdgeSpec("ask", Exit.ERROR, "rescue"),
        EdgeSpec("yes", Exit.OK, "review"),
        EdgeSpec("no", Exit.OK, "last"),
        EdgeSpec("review", Exit.APPROVED, "last"),
        EdgeSpec("review", Exit.REJECTED, "complete"),
        EdgeSpec("review", Exit.TIMEOUT, "rescue"),
        EdgeSpec("rescue", Exit.OK, "complete"),
        EdgeSpec("last", Exit.OK, "complete"),
    )
    return Graph(WorkflowSpec("W", True, (), PayloadSpec("m:P"), (*steps, review), edges))  # noqa: FBT003


def diamond() -> Graph:
    steps = (
        StepSpec("left", StepKind.ACTION, "left"),
        StepSpec("right", StepKind.ACTION, "right"),
        StepSpec("join", StepKind.ACTION, "join", after=("left", "right")),
        StepSpec("end", StepKind.ACTION, "end", after=("join",)),
    )
    return Graph(WorkflowSpec("W", False, (), PayloadSpec("m:P"), steps))  # noqa: FBT003


def routes(graph: Graph, outputs: Mapping[str, Any], **steps: str) -> dict[str, str]:
    rest = steps.pop("rest")
    known = {s.name: StepStatus(steps.get(s.name, rest)) for s in graph.spec.steps}
    return {edge.id: edge.status for edge in Routes(graph, known, outputs).edges()}


ASK = ["ask:when:true:yes", "ask:when:false:no", "ask:error:rescue"]
REVIEW = ["review:approved:last", "review:rejected:complete", "review:timeout:rescue"]
APPROVED, REJECTED = {"decision": "approved"}, {"decision": "rejected"}

DECIDED = dict.fromkeys(("ask", "yes", "review"), "completed")

FLOWS: dict[str, tuple[dict[str, Any], dict[str, str], dict[str, str]]] = {
    "at its beginning": (
        {},
        {"ask": "running", "rest": "waiting"},
        dict.fromkeys(
            [*ASK, *REVIEW, "yes:ok:review", "no:ok:last", "last:ok:complete"], "pending"
        ),
    ),
    "a branch was taken": (
        {"ask": False},
        {"ask": "completed", "no": "scheduled", "rest": "waiting"},
        {
            "ask:when:true:yes": "skipped",
            "ask:when:false:no": "taken",
            "ask:error:rescue": "skipped",
            "no:ok:last": "pending",
            "last:ok:complete": "pending",
            "yes:ok:review": "skipped",  # nothing leads there any more
            "review:approved:last": "skipped",
            "rescue:ok:complete": "skipped",
        },
    ),
    "it failed over its error route": (
        {},
        {"ask": "failed", "rescue": "completed", "rest": "skipped"},
        {
            "ask:error:rescue": "taken",
            "ask:when:true:yes": "skipped",
            "rescue:ok:complete": "taken",
            "last:ok:complete": "skipped",
        },
    ),
    "it failed for good": (
        {"ask": True},
        {"ask": "completed", "yes": "failed", "rest": "skipped"},
        {
            "ask:when:true:yes": "taken",
            "yes:ok:review": "blocked",
            "review:approved:last": "skipped",
        },
    ),
    "it was cancelled": (
        {"ask": True},
        {"ask": "completed", "yes": "cancelled", "rest": "skipped"},
        {"yes:ok:review": "blocked", "last:ok:complete": "skipped"},
    ),
    "it was cancelled in a body that completed": (
        {"ask": True},
        {"ask": "completed", "rest": "skipped"},
        {"ask:when:true:yes": "blocked", "ask:when:false:no": "skipped"},
    ),
    "an output of no branch": (
        {"ask": 7},
        {"ask": "completed", "rest": "skipped"},
        dict.fromkeys(ASK, "blocked"),
    ),
    "approved": (
        {"ask": True, "review": APPROVED},
        {
            "ask": "completed",
            "yes": "completed",
            "review": "completed",
            "last": "running",
            "rest": "waiting",
        },
        dict(zip(REVIEW, ("taken", "skipped", "skipped"), strict=True)),
    ),
    "rejected": (
        {"ask": True, "review": REJECTED},
        DECIDED | {"rest": "skipped"},
        dict(zip(REVIEW, ("skipped", "taken", "skipped"), strict=True)),
    ),
    "timed out": (
        {"ask": True},
        {
            "ask": "completed",
            "yes": "completed",
            "review": "completed",
            "rescue": "pending",
            "rest": "waiting",
        },
        dict(zip(REVIEW, ("skipped", "skipped", "taken"), strict=True)),
    ),
    "paused": (
        {"ask": True},
        {"ask": "completed", "yes": "completed", "review": "paused", "rest": "waiting"},
        dict.fromkeys([*REVIEW, "last:ok:complete", "rescue:ok:complete"], "pending"),
    ),
}


@pytest.mark.parametrize("case", FLOWS)
def test_the_ways_of_a_flow(case: str) -> None:
    outputs, steps, wanted = FLOWS[case]
    found = routes(flow(), outputs, **steps)
    assert len(found) == 10
    assert {name: found[name] for name in wanted} == wanted


EDGES = ["left:dependency:join", "right:dependency:join", "join:dependency:end"]


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        ({"left": "running", "right": "pending", "rest": "waiting"}, "pending pending pending"),
        ({"left": "completed", "right": "running", "rest": "waiting"}, "taken pending pending"),
        (
            {"left": "completed", "right": "completed", "join": "running", "rest": "waiting"},
            "taken taken pending",
        ),
        ({"left": "completed", "right": "failed", "rest": "cancelled"}, "taken blocked blocked"),
        ({"left": "running", "right": "failed", "rest": "cancelled"}, "blocked blocked blocked"),
        ({"rest": "completed"}, "taken taken taken"),
        ({"rest": "skipped"}, "blocked blocked blocked"),
    ],
)
def test_the_ways_of_dependencies(steps: dict[str, str], wanted: str) -> None:
    assert routes(diamond(), {}, **steps) == dict(zip(EDGES, wanted.split(), strict=True))


def test_an_approval_is_left_by_its_decision() -> None:
    review = StepSpec("review", StepKind.APPROVAL, "review")
    assert way_out(review, APPROVED) is Exit.APPROVED
    assert way_out(review, REJECTED) is Exit.REJECTED
    assert way_out(review, None) is Exit.TIMEOUT
    assert way_out(StepSpec("a", StepKind.ACTION, "a"), APPROVED) is Exit.OK
