"""What a workflow class holds once it is declared."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from squid_mesh import NoPayload, Window, complete
from squid_mesh.definition.actions import Unusable, inspect_action
from squid_mesh.definition.durations import LONGEST, seconds
from squid_mesh.definition.spec import BackoffSpec, Constant, Exit, RetrySpec, StepKind
from squid_mesh.definition.values import Unreadable
from squid_mesh.definition.workflow import definition_of
from tests.conformance import conforms
from tests.unit.definition import bodies, steps
from tests.unit.definition.workflows import Gate, Join


@conforms("S1")
def test_steps_and_triggers_are_in_the_order_of_their_declaration() -> None:
    spec = definition_of(Gate).spec

    assert [trigger.name for trigger in spec.triggers] == ["weekly", "by_hand"]
    assert [step.name for step in spec.steps] == [
        "scored",
        "announced",
        "review",
        "paid",
        "noted",
        "failed",
    ]


@conforms("S1")
def test_edges_are_in_the_order_they_are_written() -> None:
    edges = [(e.step, e.on, e.to, e.value) for e in definition_of(Gate).spec.edges]

    assert edges[:4] == [
        ("scored", Exit.WHEN, "paid", "low"),
        ("paid", Exit.OK, "complete", None),
        ("scored", Exit.WHEN, "announced", "high"),
        ("announced", Exit.OK, "review", None),
    ]


@conforms("S26")
def test_wires_and_after_are_dependencies() -> None:
    spec = definition_of(Join).spec

    assert not spec.flow
    assert spec.dependencies["joined"] == ("account", "fetched")
    assert spec.dependencies["held"] == ("joined",)
    assert spec.dependencies["cool_off"] == ("tagged",)


@conforms("S2")
def test_a_retry_policy_stands_with_its_step() -> None:
    spec = definition_of(Join).spec

    assert spec.by_name["fetched"].retry == RetrySpec(3, BackoffSpec(1.0, 1.0))
    assert [step.name for step in spec.steps if step.retry is not None] == ["fetched"]


@conforms("S3")
@pytest.mark.parametrize(
    "part", ["name", "flow", "triggers", "payload", "steps", "edges", "by_name", "dependencies"]
)
def test_each_part_of_a_definition_can_be_read_and_none_changed(part: str) -> None:
    spec = definition_of(Gate).spec

    assert getattr(spec, part)
    with pytest.raises(AttributeError):
        setattr(spec, part, None)


@conforms("S4")
def test_each_step_says_what_kind_it_is() -> None:
    kinds = {
        step.name: step.kind for flow in (Join, Gate) for step in definition_of(flow).spec.steps
    }

    assert kinds["cool_off"] is StepKind.WAIT
    assert kinds["announced"] is StepKind.LOG
    assert kinds["held"] is StepKind.PAUSE
    assert kinds["review"] is StepKind.APPROVAL
    assert kinds["scored"] is StepKind.ACTION


@conforms("S199")
def test_a_workflow_is_called_what_it_says() -> None:
    assert definition_of(Join).spec.name == "Join"


@conforms("S199")
def test_a_name_can_be_given(tmp_path: Path) -> None:
    module = bodies.module(
        'class W(Workflow[P], name="refunds"):\n    a = step(nothing).takes()\n', tmp_path
    )

    assert definition_of(module.W).spec.name == "refunds"


@conforms("S6")
def test_without_a_trigger_there_is_one_called_manual() -> None:
    (trigger,) = definition_of(Join).spec.triggers

    assert (trigger.name, trigger.kind) == ("manual", "manual")


def test_without_a_payload_there_is_none(tmp_path: Path) -> None:
    module = bodies.module("class W(Workflow):\n    a = step(nothing).takes()\n", tmp_path)

    assert definition_of(module.W).payload is NoPayload


def test_secret_fields_are_marked() -> None:
    fields = definition_of(Join).spec.payload.fields

    assert [field.name for field in fields if field.secret] == ["token"]


def test_the_code_is_kept_beside_the_spec() -> None:
    definition = definition_of(Gate)

    assert definition.windows == {"weekly": steps.week}
    assert definition.actions["scored"].function is steps.score
    assert not definition.actions["scored"].is_async
    assert definition_of(Join).actions["fetched"].is_async


def test_a_static_method_of_the_body_is_seen_as_what_it_is(tmp_path: Path) -> None:
    text = """
class W(Workflow[P]):
    @staticmethod
    async def inside(text: str) -> str:
        return text
    a = step(inside).takes(P.url)
"""
    action = definition_of(bodies.module(text, tmp_path).W).actions["a"]

    assert action.is_async
    assert action.name == "tests.unit.definition.declared:W.inside"


def test_a_set_is_written_in_an_order_of_its_own() -> None:
    wire = definition_of(Join).spec.by_name["tagged"].inputs["value"]

    assert wire == Constant(["a", "b", "c", "d"])


def test_what_is_injected_or_left_out_has_no_schema() -> None:
    paid = definition_of(Join).spec.by_name["paid"].action
    left_out = inspect_action(steps.with_default_client).spec()

    assert paid is not None
    assert [parameter.schema is None for parameter in paid.parameters] == [True, False]
    assert [parameter.schema for parameter in left_out.parameters] == [None]


def test_reasons_against_a_function_are_told_together() -> None:
    with pytest.raises(Unusable) as raised:
        inspect_action(steps.takes_many_and_returns)

    assert len(raised.value.reasons) == 2
    assert str(raised.value) == "; ".join(raised.value.reasons)


def test_the_end_is_called_complete() -> None:
    assert repr(complete) == "complete"


def test_a_window_knows_its_date() -> None:
    window = Window("weekly", datetime(2026, 1, 5, 9, tzinfo=UTC))

    assert steps.week(window).day == "2026-01-05"


def test_seconds_of_a_stored_duration() -> None:
    assert seconds("PT1M0.5S") == 60.5
    assert seconds("-PT1S") == 0
    assert seconds("P9999D") == LONGEST.total_seconds()
    with pytest.raises(Unreadable):
        seconds("soon")
