from dataclasses import replace

import pytest

from squid_mesh.definition.spec import COMPLETE, Constant, Exit, ListOf, Origin, Reference, StepKind
from squid_mesh.engine.graph import Graph
from tests.conformance import conforms
from tests.unit.engine.graphs import action, depending, edge, flow, gate, joins, when

BRANCHING = Graph(
    flow(
        edge("fetch", "rate"),
        edge("fetch", "apologise", Exit.ERROR),
        when("rate", "post", output="good"),
        edge("rate", COMPLETE),
        edge("post", COMPLETE),
        edge("apologise", COMPLETE),
    )
)
DIAMOND = Graph(joins(post=["parse", "rank"], rank=["fetch"], parse=["fetch"], fetch=[], log=[]))


@conforms("S31")
def test_a_flow_begins_at_the_step_that_nothing_leads_to() -> None:
    assert BRANCHING.entries == ("fetch",)


@conforms("S31", "S48")
def test_a_flow_may_begin_at_any_place_of_the_declaration() -> None:
    assert Graph(flow(edge("b", COMPLETE), edge("a", "b"))).entries == ("a",)


@conforms("S32", "S33")
def test_a_dependency_workflow_begins_at_all_steps_without_needs_as_declared() -> None:
    assert DIAMOND.entries == ("fetch", "log")


def test_on_a_flow_nothing_waits_from_the_start() -> None:
    assert BRANCHING.waiting == {}
    assert BRANCHING.needs == {}
    assert set(BRANCHING.dependents.values()) == {()}


def test_a_flow_whose_steps_are_wired_to_each_other_waits_for_no_wire() -> None:
    spec = flow(edge("a", "b"), edge("b", COMPLETE))
    wired = action("b", inputs={"x": Reference(Origin.OUTPUT, "a")})
    graph = Graph(replace(spec, steps=(spec.by_name["a"], wired)))
    assert (graph.entries, graph.waiting) == (("a",), {})
    assert graph.dependents == {"a": (), "b": ()}


def test_steps_of_a_dependency_workflow_wait_for_as_many_as_they_need() -> None:
    assert DIAMOND.waiting == {"post": 2, "rank": 1, "parse": 1}


@conforms("S23")
def test_a_step_needs_what_it_is_wired_to_and_what_it_comes_after_once_each() -> None:
    twice = action(
        "post",
        inputs={
            "title": Reference(Origin.OUTPUT, "parse", ("title",)),
            "parts": ListOf((Reference(Origin.OUTPUT, "parse"), Reference(Origin.OUTPUT, "rank"))),
            "where": Reference(Origin.PAYLOAD, path=("url",)),
            "colour": Constant("red"),
        },
        after=["rank", "gate"],
    )
    graph = Graph(depending(action("parse"), action("rank"), gate("gate"), twice))
    assert graph.needs["post"] == ("parse", "rank", "gate")
    assert graph.waiting == {"post": 3}
    assert graph.entries == ("parse", "rank", "gate")


def test_the_edges_out_of_a_step_keep_the_order_they_were_written_in() -> None:
    assert BRANCHING.edges["fetch"] == (
        edge("fetch", "rate"),
        edge("fetch", "apologise", Exit.ERROR),
    )
    assert BRANCHING.edges["rate"] == (when("rate", "post", output="good"), edge("rate", COMPLETE))


def test_a_dependency_workflow_has_no_edges() -> None:
    assert set(DIAMOND.edges) == {"post", "rank", "parse", "fetch", "log"}
    assert set(DIAMOND.edges.values()) == {()}


def test_dependents_are_the_needs_read_the_other_way() -> None:
    assert DIAMOND.dependents == {
        "fetch": ("rank", "parse"),
        "parse": ("post",),
        "rank": ("post",),
        "post": (),
        "log": (),
    }


@pytest.mark.parametrize(
    ("graph", "ends"),
    [
        (BRANCHING, 1),
        (DIAMOND, 2),
        (Graph(joins(only=[])), 1),
        (Graph(joins(a=[], b=[], c=[])), 3),
        (Graph(joins(a=[], b=["a"], c=["b"])), 1),
        (Graph(joins(a=[], b=["a"], c=["a"])), 2),
    ],
)
def test_a_flow_ends_once_and_a_dependency_graph_once_for_each_leaf(
    graph: Graph, ends: int
) -> None:
    assert graph.ends == ends


def test_a_step_is_found_by_its_name() -> None:
    graph = Graph(flow(edge("a", "b"), edge("b", COMPLETE, Exit.APPROVED)))
    assert graph.step("a").kind is StepKind.ACTION
    assert graph.step("b").kind is StepKind.APPROVAL
    with pytest.raises(KeyError):
        graph.step("c")


def test_beside_a_step_are_those_that_neither_need_it_nor_are_needed() -> None:
    assert DIAMOND.beside("parse") == ("rank", "log")
    assert DIAMOND.beside("post") == ("log",)
    assert DIAMOND.beside("log") == ("post", "rank", "parse", "fetch")
    assert DIAMOND.beside("parse") is DIAMOND.beside("parse")
