"""Everything that is wrong with the definitions of a process, at once."""

from typing import Any

import pytest

from squid_mesh import NoPayload, Payload, Workflow, WorkflowDefinitionError, step
from squid_mesh.definition.gathering import gathering
from squid_mesh.definition.workflow import definition_of


async def send(text: str) -> None: ...


unchecked: Any = step
"""`step`, with whose mistakes no type checker helps."""


def declare() -> list[type[Workflow[NoPayload]]]:
    """Two workflows of which nothing is right, and one that is."""

    class First(Workflow[NoPayload]):
        one = unchecked(send).takes()
        two = unchecked(send).takes(txt="hello")

    class Second(First):
        pass

    class Third(Workflow[NoPayload]):
        one = step(send).takes(text="hello")

    return [First, Second, Third]


def test_every_broken_workflow_is_told() -> None:
    with gathering() as errors:
        declare()
    assert [error.workflow for error in errors] == ["First", "Second"]
    assert [len(error.problems) for error in errors] == [3, 1]


def test_what_is_broken_has_no_steps_and_what_is_right_has_its_own() -> None:
    with gathering():
        broken, *_, right = declare()
    assert definition_of(broken).spec.steps == ()
    assert [step.name for step in definition_of(right).spec.steps] == ["one"]


def test_a_payload_that_hides_what_it_must_not_is_told_too() -> None:
    with gathering() as errors:

        class Hiding(Payload):
            copy: str  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]

    assert [error.workflow for error in errors] == ["Hiding"]


def test_outside_of_the_block_the_first_broken_one_is_raised() -> None:
    with gathering():
        pass
    with pytest.raises(WorkflowDefinitionError, match="First"):
        declare()
