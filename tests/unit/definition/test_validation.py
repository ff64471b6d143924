"""The rules that only a document can break: a class body has no words for these."""

from typing import Any

import pytest

from squid_mesh.definition.rules.finding import Place
from squid_mesh.definition.spec import (
    ActionSpec,
    Constant,
    DictOf,
    EdgeSpec,
    Exit,
    Injected,
    ListOf,
    Origin,
    ParameterSpec,
    Reference,
    RetrySpec,
    StepKind,
    StepSpec,
    TriggerSpec,
    WorkflowSpec,
)
from squid_mesh.definition.validation import findings
from tests.conformance import ruled
from tests.unit.definition.specs import action, edge, output, workflow


def step(kind: StepKind, name: str = "a", **rest: Any) -> StepSpec:
    return StepSpec(name, kind, "out", **rest)


CASES: list[tuple[str, WorkflowSpec, Place, str]] = [
    (
        "S6",
        workflow(action("a"), triggers=()),
        None,
        "at least one trigger is required: write `manual()` or `cron(…)`",
    ),
    (
        "L1",
        workflow(action("a"), triggers=(TriggerSpec("t", "manual"), TriggerSpec("t", "manual"))),
        None,
        "duplicate trigger names: 't': give each a name of its own",
    ),
    ("S13", workflow(), None, "at least one step is required"),
    (
        "S14",
        workflow(action("a"), action("a")),
        None,
        "duplicate step names: 'a': give each a name",
    ),
    (
        "a name",
        workflow(
            step(
                StepKind.PAUSE,
                "a b",
            )
        ),
        ("step", "a b"),
        "a step can't be named 'a b'",
    ),
    ("a name", workflow(action("complete")), ("step", "complete"), "a step can't be named"),
    ("S22", workflow(action("a", "x")), ("step", "a"), "step 'a' depends on unknown step 'x'"),
    (
        "S22",
        workflow(action("fetch"), action("b", "fetsh")),
        ("step", "b"),
        "step 'b' depends on unknown step 'fetsh'; did you mean 'fetch'?: write the name",
    ),
    ("S23", workflow(action("a", "a")), ("step", "a"), "step 'a' cannot depend on itself: remove"),
    (
        "S24, S32, S121",
        workflow(action("a", "b"), action("b", "a")),
        ("step", "a"),
        "workflow dependency graph must be acyclic, but goes in a circle (",
    ),
    (
        "S25",
        workflow(action("a"), flow=False, edges=(edge("a", "complete"),)),
        ("edge", 0),
        "dependency-based workflows cannot declare transitions: set flow, or use after",
    ),
    (
        "S27",
        workflow(action("a"), edges=(edge("a", "complete"), edge("x", "complete"))),
        ("edge", 1),
        "transition references unknown step: 'x'",
    ),
    (
        "S27",
        workflow(action("a"), edges=(edge("a", "x"),)),
        ("edge", 0),
        "transition targets unknown step: 'x'",
    ),
    (
        "S16",
        workflow(step(StepKind.LOG, message="Hello")),
        ("step", "a"),
        "log 'a' requires a level: write level=\"info\"",
    ),
    (
        "S16",
        workflow(step(StepKind.LOG, level="info")),
        ("step", "a"),
        "log 'a' requires a non-empty message",
    ),
    (
        "S15",
        workflow(step(StepKind.WAIT, duration=Constant("soon"))),
        ("step", "a"),
        "wait 'a' requires a positive duration",
    ),
    ("an action", workflow(action("a", action=None)), ("step", "a"), "step 'a' names no action"),
    (
        "an action",
        workflow(action("a", action=ActionSpec("os.system"))),
        ("step", "a"),
        "step 'a' names the action 'os.system': write \"module:function\"",
    ),
    (
        "an option of another kind",
        workflow(step(StepKind.PAUSE, retry=RetrySpec(1))),
        ("step", "a"),
        "pause 'a' can't have retry: leave it out",
    ),
    (
        "inputs of another kind",
        workflow(step(StepKind.PAUSE, inputs={"x": Constant(1)})),
        ("step", "a"),
        "pause 'a' can't have inputs: leave it out",
    ),
    (
        "S19",
        workflow(action("a", action=ActionSpec("m:f", (ParameterSpec("url", required=True),)))),
        ("step", "a"),
        "input 'url' of f is not wired: add url=… to takes()",
    ),
    (
        "S19",
        workflow(action("a", inputs={"ulr": Constant(1)}, action=ActionSpec("m:f"))),
        ("step", "a"),
        "f has no parameter 'ulr': wire one that it has",
    ),
    (
        "injected",
        workflow(action("a", inputs={"x": Injected("resource")})),
        ("step", "a"),
        "input 'x' of step 'a': resource names no type: write resource(SomeClass)",
    ),
    (
        "injected",
        workflow(action("a", inputs={"x": ListOf((Injected("context"),))})),
        ("step", "a"),
        "input 'x' of step 'a': what is injected can't stand in a list",
    ),
    (
        "injected",
        workflow(action("a", inputs={"x": DictOf({"y": Injected("context")})})),
        ("step", "a"),
        "input 'x' of step 'a': what is injected can't stand in a dict",
    ),
    (
        "a field",
        workflow(action("a", inputs={"x": Reference(Origin.PAYLOAD, None, ("ulr",))})),
        ("step", "a"),
        "reads unknown payload field 'ulr'; did you mean 'url'?: name a field of the payload",
    ),
    (
        "a payload of its own",
        workflow(action("a"), action("b", inputs={"x": Reference(Origin.PAYLOAD, "a")})),
        ("step", "b"),
        "reads the payload of step 'a', but a run has one payload: leave step out",
    ),
    (
        "an output of nothing",
        workflow(action("a", inputs={"x": Reference(Origin.OUTPUT)})),
        ("step", "a"),
        "input 'x' of step 'a' reads from unknown step None: name a step",
    ),
]


@pytest.mark.parametrize(
    ("spec", "place", "message"), [ruled(rule, *case) for rule, *case in CASES]
)
def test_a_broken_rule_is_found_at_its_place(
    spec: WorkflowSpec, place: Place, message: str
) -> None:
    found = findings(spec)

    assert [(f.place, message in f.message) for f in found] == [(place, True)], found


@pytest.mark.parametrize("edges", [(edge("fetch", "b"), edge("b", "complete")), None])
def test_a_reference_to_an_unknown_step_is_found_where_it_stands(
    edges: tuple[EdgeSpec, ...] | None,
) -> None:
    spec = workflow(action("fetch"), action("b", inputs={"x": output("fetsh")}), edges=edges)

    (found,) = findings(spec)

    assert found.message == (
        "input 'x' of step 'b' reads from unknown step 'fetsh'; did you mean 'fetch'?: name a step"
    )


def test_an_unknown_transition_out_of_a_document_is_told_without_a_way_out() -> None:
    spec = workflow(
        step(StepKind.APPROVAL),
        edges=(
            edge("a", "complete", Exit.APPROVED),
            edge("a", "complete", Exit.REJECTED),
            edge("a", "complete", Exit.ERROR),
        ),
    )

    (found,) = findings(spec)

    assert found.message.startswith("approval 'a' has no on_error: write one of its ways out")


def test_a_document_without_a_mistake_has_no_findings() -> None:
    assert findings(workflow(action("a"), action("b", "a"))) == []
