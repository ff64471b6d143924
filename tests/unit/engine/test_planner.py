from collections import Counter
from collections.abc import Iterator
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squid_mesh.definition.spec import COMPLETE, BackoffSpec, EdgeSpec, Exit, Json, RetrySpec
from squid_mesh.engine.graph import Graph
from squid_mesh.engine.planner import (
    CountDown,
    EndReached,
    Fail,
    Following,
    Known,
    Next,
    after_failure,
    ending,
    follow,
    ready,
    taken,
)
from squid_mesh.engine.retry import Failed, RetryIn
from squid_mesh.engine.states import RunStatus, StepStatus
from tests.conformance import conforms
from tests.unit.engine.graphs import dependency_graphs, edge, flow, flows, joins, when
from tests.unit.engine.interpreter import Break, Cancel, Complete, Event, Interrupt, Run

FLOW = Graph(
    flow(
        edge("fetch", "rate"),
        edge("fetch", "apologise", Exit.ERROR),
        edge("rate", "review"),
        when("rate", "post", output=1),
        when("rate", "celebrate", output=True),
        when("rate", COMPLETE, output="bad"),
        when("rate", "fetch_again", output=None),
        edge("rate", COMPLETE, Exit.ERROR),
        edge("review", "post", Exit.APPROVED),
        edge("review", COMPLETE, Exit.REJECTED),
        edge("review", "apologise", Exit.TIMEOUT),
        edge("post", COMPLETE),
        edge("celebrate", "post"),
        edge("fetch_again", "post"),
        edge("apologise", COMPLETE),
    )
)
DIAMOND = Graph(joins(fetch=[], parse=["fetch"], rank=["fetch"], post=["parse", "rank"], log=[]))


# a step that completed


@pytest.mark.parametrize(
    ("step", "way", "output", "following"),
    [
        ("fetch", Exit.OK, None, Next("rate")),
        ("fetch", Exit.OK, {"any": "thing"}, Next("rate")),
        ("post", Exit.OK, None, EndReached()),
        ("rate", Exit.OK, 1, Next("post")),
        ("rate", Exit.OK, True, Next("celebrate")),
        ("rate", Exit.OK, "bad", EndReached()),
        ("rate", Exit.OK, None, Next("fetch_again")),
        ("rate", Exit.OK, "good", Next("review")),
        ("rate", Exit.OK, False, Next("review")),
        ("rate", Exit.OK, 1.0, Next("review")),
        ("rate", Exit.OK, ["bad"], Next("review")),
        ("review", Exit.APPROVED, {"decision": "approved"}, Next("post")),
        ("review", Exit.REJECTED, {"decision": "rejected"}, EndReached()),
        ("review", Exit.TIMEOUT, None, Next("apologise")),
    ],
)
def test_a_flow_goes_where_the_outcome_leads(
    step: str, way: Exit, output: Json, following: Following
) -> None:
    assert follow(FLOW, step, way, output) == following


def test_a_step_without_an_output_takes_the_plain_edge() -> None:
    assert follow(FLOW, "fetch", Exit.OK) == Next("rate")


@pytest.mark.parametrize("way", list(Exit))
def test_in_a_dependency_workflow_every_way_counts_off(way: Exit) -> None:
    """A rejection is a decision like any other: there is no edge for it to take."""
    assert follow(DIAMOND, "fetch", way, "anything") == CountDown(("parse", "rank"))
    assert follow(DIAMOND, "rank", way) == CountDown(("post",))
    assert follow(DIAMOND, "post", way) == EndReached()
    assert follow(DIAMOND, "log", way) == EndReached()


def test_the_first_edge_that_matches_is_taken() -> None:
    graph = Graph(
        flow(when("a", "b", output="x"), when("a", "c", output="x"), edge("a", "d"), edge("a", "e"))
    )
    assert taken(graph, "a", Exit.OK, "x") == when("a", "b", output="x")
    assert taken(graph, "a", Exit.OK, "y") == edge("a", "d")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_plain_edge_is_for_the_rest_wherever_it_is_written(position: int) -> None:
    edges = [when("a", "b", output="x"), when("a", "c", output="y")]
    edges.insert(position, edge("a", "rest"))
    graph = Graph(flow(*edges))
    assert [follow(graph, "a", Exit.OK, v) for v in "xyz"] == [Next("b"), Next("c"), Next("rest")]


def test_only_a_way_out_that_is_ok_looks_at_the_output() -> None:
    graph = Graph(flow(when("a", "b", output="x"), edge("a", "c", Exit.ERROR)))
    assert taken(graph, "a", Exit.ERROR, "x") == edge("a", "c", Exit.ERROR)
    assert taken(graph, "a", Exit.APPROVED, "x") is None


@pytest.mark.parametrize(
    ("way", "output", "edges"),
    [
        (Exit.OK, "good", [when("a", "b", output="bad")]),
        (Exit.OK, True, [when("a", "b", output=1)]),
        (Exit.TIMEOUT, None, [edge("a", "b", Exit.APPROVED)]),
    ],
)
def test_an_outcome_that_no_edge_is_for_is_told(
    way: Exit, output: Json, edges: list[EdgeSpec]
) -> None:
    message = f"^Example.a has no way out for {way} with {output!r}$"
    with pytest.raises(LookupError, match=message):
        follow(Graph(flow(*edges)), "a", way, output)


# a step that failed


@conforms("S93", "S95", "S96", "S122")
@pytest.mark.parametrize(
    ("graph", "step", "following"),
    [
        (FLOW, "fetch", Next("apologise")),
        (FLOW, "rate", EndReached()),
        (FLOW, "post", Fail()),
        (DIAMOND, "fetch", Fail()),
        (DIAMOND, "post", Fail()),
    ],
)
@pytest.mark.parametrize(
    ("policy", "attempt", "failed"),
    [
        (None, 1, Failed()),
        (RetrySpec(3), 3, Failed()),
        (RetrySpec(3), 1, Failed(retryable=False)),
        (RetrySpec(3, stop_on=("app:Gone",)), 1, Failed(("app:Gone",))),
    ],
)
def test_a_failure_for_good_takes_the_error_route_or_fails_the_run(
    *,
    graph: Graph,
    step: str,
    following: Next | EndReached | Fail,
    policy: RetrySpec | None,
    attempt: int,
    failed: Failed,
) -> None:
    decision = after_failure(graph, step, attempt, failed, policy=policy, jitter=0.5)
    assert decision == following


@conforms("S95")
@pytest.mark.parametrize("step", ["fetch", "post"])
@pytest.mark.parametrize("graph", [FLOW, DIAMOND])
def test_a_failure_with_attempts_left_is_tried_again_before_any_route(
    graph: Graph, step: str
) -> None:
    decision = after_failure(graph, step, 2, Failed(after=8.0), policy=RetrySpec(3), jitter=0.5)
    assert decision == RetryIn(3, 8.0)


def test_jitter_reaches_the_delay() -> None:
    policy = RetrySpec(3, BackoffSpec(8.0, 8.0))
    decision = after_failure(FLOW, "fetch", 1, Failed(), policy=policy, jitter=0.0)
    assert decision == RetryIn(2, 6.0)


# a whole history

WAITING, PENDING, SCHEDULED, RUNNING, PAUSED, DONE, BROKEN, CANCELLED, _ = map(Known, StepStatus)


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        ({}, ["fetch"]),
        ({"fetch": PENDING}, ["fetch"]),
        ({"fetch": RUNNING}, []),
        ({"fetch": SCHEDULED}, []),
        ({"fetch": PAUSED}, []),
        ({"fetch": DONE}, ["rate"]),
        ({"fetch": DONE, "rate": PENDING}, ["rate"]),
        ({"fetch": BROKEN}, ["apologise"]),
        ({"fetch": DONE, "rate": Known(StepStatus.COMPLETED, output=True)}, ["celebrate"]),
        ({"fetch": DONE, "rate": BROKEN}, []),
        ({"fetch": DONE, "review": Known(StepStatus.COMPLETED, Exit.TIMEOUT)},
         ["rate", "apologise"]),
        ({"post": BROKEN}, []),
        ({"fetch": CANCELLED}, []),
    ],
)  # fmt: skip
def test_a_step_of_a_flow_is_to_begin_where_an_edge_was_taken_to_it(
    steps: dict[str, Known], names: list[str]
) -> None:
    assert sorted(ready(FLOW, steps)) == sorted(names)
    assert ready(FLOW, steps, cancelled=True) == ()


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        ({}, ("fetch", "log")),
        ({"fetch": RUNNING}, ("log",)),
        ({"fetch": DONE, "log": DONE}, ("parse", "rank")),
        ({"fetch": DONE, "parse": DONE, "post": WAITING}, ("rank", "log")),
        ({"fetch": DONE, "parse": DONE, "rank": SCHEDULED, "log": DONE}, ()),
        ({"fetch": DONE, "parse": DONE, "rank": DONE, "log": PAUSED}, ("post",)),
        ({"fetch": DONE, "parse": DONE, "rank": DONE, "log": DONE, "post": WAITING}, ("post",)),
        ({"fetch": DONE, "parse": BROKEN}, ()),
    ],
)
def test_a_step_of_a_dependency_workflow_is_to_begin_when_its_needs_have_completed(
    steps: dict[str, Known], names: tuple[str, ...]
) -> None:
    assert ready(DIAMOND, steps) == names
    assert ready(DIAMOND, steps, cancelled=True) == ()


TWINS = Graph(joins(a=[], b=[]))


@pytest.mark.parametrize(
    ("graph", "steps", "status", "when_cancelled"),
    [
        (TWINS, {}, None, "cancelled"),
        (TWINS, {"a": DONE, "b": PENDING}, None, "cancelled"),
        (TWINS, {"a": DONE, "b": RUNNING}, None, None),
        (TWINS, {"a": DONE, "b": SCHEDULED}, None, "cancelled"),
        (TWINS, {"a": DONE, "b": PAUSED}, None, "cancelled"),
        (TWINS, {"a": DONE, "b": DONE}, "completed", "cancelled"),
        (TWINS, {"a": BROKEN, "b": DONE}, "failed", "cancelled"),
        (TWINS, {"a": BROKEN, "b": CANCELLED}, "failed", "cancelled"),
        (TWINS, {"a": BROKEN, "b": SCHEDULED}, "failed", "cancelled"),
        (TWINS, {"a": BROKEN, "b": PAUSED}, "failed", "cancelled"),
        (TWINS, {"a": BROKEN, "b": RUNNING}, None, None),
        (FLOW, {"fetch": DONE}, None, "cancelled"),
        (FLOW, {"fetch": BROKEN}, None, "cancelled"),
        (FLOW, {"fetch": BROKEN, "apologise": DONE}, "completed", "cancelled"),
        (FLOW, {"fetch": DONE, "rate": BROKEN}, "completed", "cancelled"),
        (FLOW, {"fetch": BROKEN, "apologise": BROKEN}, "failed", "cancelled"),
    ],
)
def test_a_run_has_ended_when_nothing_runs_and_nothing_is_left_to_begin(
    graph: Graph, steps: dict[str, Known], status: str | None, when_cancelled: str | None
) -> None:
    assert ending(graph, steps) == status
    assert ending(graph, steps, cancelled=True) == when_cancelled


# the increments against the whole history

any_graph = st.builds(Graph, flows() | dependency_graphs())
any_join = st.builds(Graph, dependency_graphs())
thorough = settings(max_examples=200, deadline=None)


def happenings(
    run: Run, data: st.DataObject, *, smoothly: bool = False, cancelled_after: int | None = None
) -> Iterator[Event]:
    """Let things happen to a run, in any order, until it has ended; `smoothly`, nothing breaks."""
    for number in count():
        if run.outcome is not None:
            return
        events = [e for e in run.events() if not (smoothly and isinstance(e, Break | Interrupt))]
        assert events, "what hasn't ended can go on"
        event = Cancel() if number == cancelled_after else data.draw(st.sampled_from(events))
        run.apply(event)
        yield event


def assert_increments_add_up(run: Run) -> None:
    assert run.named(StepStatus.PENDING) == {*ready(run.graph, run.steps, cancelled=run.cancelled)}
    assert run.outcome == ending(run.graph, run.steps, cancelled=run.cancelled)


@thorough
@given(graph=any_graph, cancelled_after=st.none() | st.integers(0, 12), data=st.data())
def test_at_every_point_the_increments_agree_with_the_whole_history(
    graph: Graph, cancelled_after: int | None, data: st.DataObject
) -> None:
    run = Run(graph)
    assert_increments_add_up(run)
    for _ in happenings(run, data, cancelled_after=cancelled_after):
        assert_increments_add_up(run)


@thorough
@given(graph=any_graph, data=st.data())
def test_a_run_completes_after_as_many_ends_as_its_graph_has_or_fails_before(
    graph: Graph, data: st.DataObject
) -> None:
    run = Run(graph)
    for _ in happenings(run, data):
        assert (run.outcome is RunStatus.COMPLETED) == (run.ends_reached == graph.ends)
    unrouted = [n for n in run.named(StepStatus.FAILED) if taken(graph, n, Exit.ERROR) is None]
    assert run.outcome is (RunStatus.FAILED if unrouted else RunStatus.COMPLETED)


@thorough
@given(graph=any_join, data=st.data())
def test_a_dependency_workflow_in_which_nothing_fails_completes_in_any_order(
    graph: Graph, data: st.DataObject
) -> None:
    run = Run(graph)
    for _ in happenings(run, data, smoothly=True):
        pass
    assert run.outcome is RunStatus.COMPLETED
    assert run.ends_reached == graph.ends
    assert run.named(StepStatus.COMPLETED) == set(graph.spec.by_name)
    assert set(run.open_dependencies.values()) <= {0}


@conforms("S108", "S123")
@thorough
@given(graph=any_join, data=st.data())
def test_a_join_becomes_ready_once_with_the_last_of_its_dependencies_to_complete(
    graph: Graph, data: st.DataObject
) -> None:
    run = Run(graph)
    known = [*run.became_ready]
    assert known == [*graph.entries]
    for event in happenings(run, data):
        new = run.became_ready[len(known) :]
        known += new
        done = run.named(StepStatus.COMPLETED)
        assert len(known) == len(set(known)), "a step becomes ready once"
        for name in new:
            assert isinstance(event, Complete)
            assert event.step in graph.needs[name]
            assert done.issuperset(graph.needs[name])


@thorough
@given(graph=st.builds(Graph, flows()), data=st.data())
def test_a_flow_goes_along_its_edges_from_its_entry_one_step_at_a_time(
    graph: Graph, data: st.DataObject
) -> None:
    run = Run(graph)
    for _ in happenings(run, data):
        ended = run.named(StepStatus.COMPLETED) | run.named(StepStatus.FAILED)
        assert len(run.steps.keys() - ended) <= 1
    first, *_ = run.became_ready
    assert (first,) == graph.entries
    for one, other in pairwise(run.became_ready):
        assert other in {e.to for e in graph.edges[one]}
    assert max(Counter(run.became_ready).values()) == 1
