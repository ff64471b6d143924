import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.daily_digest.workflow import PostDailyDigest
from squid_mesh import WorkflowDefinitionError
from squid_mesh.definition import document
from squid_mesh.definition.spec import EdgeSpec, Exit, Reference, StepSpec, WorkflowSpec
from squid_mesh.definition.workflow import definition_of
from tests.conformance import conforms
from tests.unit.definition import schema_file, specs, workflows

ACTIONS = {"steps:a", "steps:b"}
DEFINITIONS = [definition_of(w) for w in (PostDailyDigest, *workflows.ALL)]
SPECS = [definition.spec for definition in DEFINITIONS]
SCHEMA = jsonschema.Draft202012Validator(document.json_schema())


@given(specs.workflows)
def test_a_spec_read_back_is_the_same_and_so_is_its_document(spec: WorkflowSpec) -> None:
    written = document.to_json(spec)

    read = document.from_json(written, actions=ACTIONS)

    assert read == spec
    assert document.to_json(read) == written
    assert document.version(read) == document.version(spec)


@given(specs.workflows)
def test_a_document_is_of_the_schema(spec: WorkflowSpec) -> None:
    SCHEMA.validate(json.loads(document.to_json(spec)))


@given(specs.workflows, st.randoms())
def test_the_order_of_keys_makes_no_difference(spec: WorkflowSpec, random: Any) -> None:
    def shuffled(step: StepSpec) -> StepSpec:
        items = list(step.inputs.items())
        random.shuffle(items)
        return replace(step, inputs=dict(items))

    again = replace(spec, steps=tuple(map(shuffled, spec.steps)))

    assert document.version(again) == document.version(spec)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_compiled_workflow_survives_the_way_through_json(spec: WorkflowSpec) -> None:
    written = document.to_json(spec)
    actions = {step.action.name for step in spec.steps if step.action}

    assert document.load(written, actions=actions) == spec
    assert document.load(written.decode(), actions=actions) == spec
    SCHEMA.validate(json.loads(written))


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.spec.name)
def test_a_definition_knows_its_document_and_version(definition: Any) -> None:
    assert definition.document == document.to_json(definition.spec)
    assert definition.version == document.version(definition.spec)


def test_versions_are_the_same_in_every_process() -> None:
    code = (
        "from tests.unit.definition.workflows import ALL\n"
        "print([w.__definition__.version for w in ALL])"
    )
    versions = {
        subprocess.check_output(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=Path(__file__).parents[3],
            text=True,
        ).strip()
        for seed in ("1", "2")
    }

    assert versions == {str([definition_of(w).version for w in workflows.ALL])}


def test_what_differs_has_another_version() -> None:
    one = specs.workflow(specs.action("a"))
    other = specs.workflow(specs.action("a", queue="mail"))

    assert document.version(one) != document.version(other)


def test_the_schema_file_is_current() -> None:
    assert schema_file.FILE.read_text() == schema_file.current(), (
        "python -m tests.unit.definition.schema_file writes it anew"
    )


def test_an_action_that_is_not_allowed_is_refused() -> None:
    spec = specs.workflow(specs.action("a"), specs.action("evil"))

    with pytest.raises(WorkflowDefinitionError) as raised:
        document.from_json(document.to_json(spec), actions=ACTIONS)

    (problem,) = raised.value.problems
    assert problem.message == "step 'evil': action 'steps:evil' is not allowed here"


def _changed(change: Any) -> str:
    spec = specs.workflow(
        specs.action("a", inputs={"x": specs.output("b")}),
        specs.action("b"),
        edges=(EdgeSpec("b", Exit.OK, "a"), EdgeSpec("a", Exit.OK, "complete")),
    )
    whole = json.loads(document.to_json(spec))
    change(whole)
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(color="red"), "color: Unexpected keyword argument"),
        (lambda d: d["steps"][0].update(retries=3), "steps.0.retries: Unexpected"),
        (lambda d: d["steps"][0]["action"].update(code="…"), "steps.0.action.code: Unexpected"),
        (lambda d: d["steps"][0].update(timeout="5"), "steps.0.timeout: Input should be a valid n"),
        (lambda d: d["steps"][0].update(kind="spell"), "steps.0.kind: Input should be 'action',"),
        (lambda d: d["steps"][0].pop("name"), "steps.0.name: Field required"),
        (lambda d: d["edges"][0].update(on="maybe"), "edges.0.on: Input should be 'ok',"),
        (lambda d: d["steps"][0]["inputs"].update(y={"from": "env"}), "steps.0.inputs.y"),
        (lambda d: d["steps"][0]["inputs"].update(y={"value": 1, "from": "payload"}), "inputs.y"),
        pytest.param(
            lambda d: d["triggers"][0].update(kind="webhook"),
            "triggers.0.kind: Input should be 'manual' or 'cron'",
            marks=conforms("S8"),
        ),
        (lambda d: d.update(flow="yes"), "flow: Input should be a valid boolean"),
        (lambda d: d.update(format=2), "format: Input should be 1"),
    ],
)
def test_a_document_of_another_format_is_refused(change: Any, told: str) -> None:
    text = _changed(change)

    with pytest.raises(WorkflowDefinitionError, match="workflow validation failed: document") as e:
        document.from_json(text, actions=ACTIONS)

    assert told in str(e.value)
    assert not SCHEMA.is_valid(json.loads(text))


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(WorkflowDefinitionError, match="document: Invalid JSON"):
        document.from_json("{", actions=ACTIONS)


def test_everything_wrong_with_a_document_is_told_at_once() -> None:
    text = _changed(lambda d: (d.update(color="red", flow=1), d["steps"][0].pop("kind")))

    with pytest.raises(WorkflowDefinitionError) as raised:
        document.from_json(text, actions=ACTIONS)

    assert len(raised.value.problems) == 3


def test_the_rules_are_applied_to_what_is_loaded_for_use_only() -> None:
    written = document.to_json(specs.workflow(specs.action("a", "nowhere")))

    assert document.from_json(written, actions=ACTIONS).steps[0].after == ("nowhere",)
    with pytest.raises(WorkflowDefinitionError, match="depends on unknown step 'nowhere'"):
        document.load(written, actions=ACTIONS)


def test_a_reference_is_written_as_its_author_reads_it() -> None:
    assert str(specs.output("fetch", "items", 0)) == "fetch.output.items.0"
    field = definition_of(PostDailyDigest).spec.by_name["fetch_feed"].inputs["feed_url"]
    assert isinstance(field, Reference)
    assert str(field) == "payload.feed_url"
