"""Graphs of runs: their own definition's, with the ways that were taken."""

import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import uuid4

import pytest
from pydantic import SecretStr

from squid_mesh import (
    SETTLED,
    InvalidRunId,
    Mesh,
    NoPayload,
    Payload,
    RunGraph,
    RunNotFound,
    StepError,
    Workflow,
    approval,
    complete,
    step,
)
from tests.clock import advance
from tests.laws.journal import Journal, install
from tests.laws.versions import After, Before
from tests.meshes import ended, on_host, play


class Amount(Payload):
    amount: int
    card: SecretStr = SecretStr("4242-4242")


async def score(amount: int) -> bool:
    return amount > 100


async def pay(amount: int, card: SecretStr) -> str:
    if amount < 0:
        raise StepError(f"no money on {card.get_secret_value()}", details={"amount": amount})
    return "paid"


async def note() -> str:
    return "noted"


class Refund(Workflow[Amount]):
    triage = step(score).takes(Amount.amount)
    review = approval(deadline=timedelta(days=2))
    pay = step(pay).takes(Amount.amount, Amount.card)
    reject = step(note).takes()
    failed = step(note).takes()
    flow = (
        triage.when(False) >> pay >> complete,  # noqa: FBT003  # the output's value
        triage.when(True) >> review,  # noqa: FBT003
        review.on_approved >> pay,
        review.on_rejected >> reject >> complete,
        review.on_timeout >> complete,
        pay.on_error >> failed >> complete,
    )


class Joining(Workflow[NoPayload]):
    left = step(note).takes()
    right = step(note).takes()
    join = step(note, after=[left, right]).takes()


@pytest.fixture
async def mesh(dsn: str) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, [Refund, Joining]) as mesh:
        yield mesh


def taken(graph: RunGraph, status: str = "taken") -> set[str]:
    return {edge.id for edge in graph.edges if edge.status == status}


async def reviewed(mesh: Mesh) -> RunGraph:
    run = await mesh.start_run(Refund, Amount(amount=200))
    await ended(mesh, run.id, until=SETTLED)
    return await mesh.inspect_run_graph(run.id)


async def test_a_graph_shows_the_ways_that_were_taken(mesh: Mesh) -> None:
    run = await play(mesh, Refund, Amount(amount=7))
    graph = await mesh.inspect_run_graph(str(run.id))
    assert (graph.run_id, graph.workflow, graph.definition, graph.status) == (
        run.id,
        run.workflow,
        run.definition,
        run.status,
    )
    assert [(node.id, str(node.status)) for node in graph.nodes] == [
        ("triage", "completed"),
        ("review", "skipped"),
        ("pay", "completed"),
        ("reject", "skipped"),
        ("failed", "skipped"),
    ]
    assert taken(graph) == {"triage:when:false:pay", "pay:ok:complete"}
    assert taken(graph, "pending") == taken(graph, "blocked") == set()


async def test_a_run_that_waits_has_one_current_node(mesh: Mesh) -> None:
    graph = await reviewed(mesh)
    assert graph.current_steps == ("review",)
    assert [node.id for node in graph.nodes if node.is_current] == ["review"]
    assert taken(graph) == {"triage:when:true:review"}
    assert "review:timeout:complete" in taken(graph, "pending")
    assert taken(graph, "skipped") == {"triage:when:false:pay"}


@pytest.mark.parametrize("decision", ["approved", "rejected", "timeout"])
async def test_a_review_s_way_is_its_decision(mesh: Mesh, dsn: str, decision: str) -> None:
    run_id = (await reviewed(mesh)).run_id
    if decision == "approved":
        await mesh.approve_run(run_id, actor="ada")
    elif decision == "rejected":
        await mesh.reject_run(run_id, actor="ada")
    else:
        await advance(dsn, timedelta(days=3))
    await ended(mesh, run_id)
    graph = await mesh.inspect_run_graph(run_id)
    (way,) = {edge.on for edge in graph.edges if edge.source == "review" and edge.status == "taken"}
    assert way == decision


async def test_details_are_shown_on_request_and_without_secrets(mesh: Mesh) -> None:
    run = await play(mesh, Refund, Amount(amount=-7))
    short = await mesh.inspect_run_graph(run.id)
    full = await mesh.inspect_run_graph(run.id, include_details=True)
    for node in short.nodes:
        assert (node.input, node.output, node.error, node.attempts) == (None, None, None, ())
    pay = next(node for node in full.nodes if node.id == "pay")
    assert pay.input == {"amount": -7, "card": "**********"}
    assert pay.error is not None
    assert pay.error.message == "no money on **********"
    assert [attempt.number for attempt in pay.attempts] == [1]
    assert {edge.id: edge.status for edge in short.edges} == {e.id: e.status for e in full.edges}
    assert "pay:error:failed" in taken(full)
    assert "4242" not in json.dumps(full.to_dict()) + repr(full)


async def test_dependencies_are_edges(mesh: Mesh) -> None:
    run = await play(mesh, Joining)
    graph = await mesh.inspect_run_graph(run.id)
    assert taken(graph) == {"left:dependency:join", "right:dependency:join"}


async def test_it_is_json_with_ids_that_stay(mesh: Mesh) -> None:
    first, second = await reviewed(mesh), await reviewed(mesh)
    shown = [json.loads(json.dumps(graph.to_dict())) for graph in (first, second)]
    ids = [[part["id"] for part in (*one["nodes"], *one["edges"])] for one in shown]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0])
    assert shown[0]["run_id"] == str(first.run_id)
    assert shown[0]["edges"][0] == {
        "id": "triage:when:false:pay",
        "source": "triage",
        "target": "pay",
        "on": "when",
        "value": False,
        "status": "skipped",
    }


async def test_a_graph_is_the_one_that_the_run_is_pinned_to(dsn: str) -> None:
    await install(dsn)
    async with Journal(dsn) as journal:
        async with on_host(dsn, [Before], resources=[journal]) as mesh:
            run = await mesh.start_run(Before)
            await journal.has(1, "begin")
        async with on_host(dsn, [After], resources=[journal], queues={}, name="newer") as mesh:
            graph = await mesh.inspect_run_graph(run.id)
    assert [node.id for node in graph.nodes] == ["begin", "middle", "end"]
    assert graph.nodes[1].action == "tests.laws.versions:extra"
    assert "flowchart TD" in graph.to_mermaid()


async def test_a_malformed_or_unknown_id_is_refused(mesh: Mesh) -> None:
    with pytest.raises(InvalidRunId):
        await mesh.inspect_run_graph("7")
    with pytest.raises(RunNotFound):
        await mesh.inspect_run_graph(uuid4())
