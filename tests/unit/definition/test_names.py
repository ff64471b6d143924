"""What a workflow is called, and which text can be stored at all."""

from typing import Any

import pytest

from squid_mesh import NoPayload, UnknownWorkflow, Workflow, log
from squid_mesh.definition.values import Codec, Unstorable, is_storable
from squid_mesh.definition.workflow import name_of_workflow


class Greet(Workflow[NoPayload], name="greetings"):
    greet = log("hello")


@pytest.mark.parametrize("workflow", [Greet, "greetings"])
def test_a_workflow_has_one_name(workflow: object) -> None:
    assert name_of_workflow(workflow) == "greetings"


@pytest.mark.parametrize("strange", [7, None, object, Workflow, Greet.greet])
def test_what_is_no_workflow_has_none(strange: object) -> None:
    with pytest.raises(UnknownWorkflow):
        name_of_workflow(strange)


@pytest.mark.parametrize(
    ("text", "can_be"),
    [("", True), ("Ünï", True), ("a\0b", False), ("\ud800", False), (b"text", False), (7, False)],
)
def test_text_can_be_stored_or_not(text: object, *, can_be: bool) -> None:
    assert is_storable(text) is can_be


def test_keys_that_are_no_text_are_left_to_their_annotation() -> None:
    assert Codec(dict[int, str]).dump({1: "a"}) == b'{"1":"a"}'
    wrong: Any = {1: {"\ud800": "a"}}
    with pytest.raises(Unstorable):
        Codec(dict[int, dict[str, str]]).dump(wrong)
