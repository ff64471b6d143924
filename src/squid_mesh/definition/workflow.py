"""The class that an author extends: `class PostDailyDigest(Workflow[DigestPayload])`."""

from __future__ import annotations

from typing import ClassVar

from squid_mesh.definition.compile import Definition, compile_workflow
from squid_mesh.definition.payload import Payload
from squid_mesh.errors import Problem, WorkflowDefinitionError
from squid_mesh.definition.source import author


class Workflow[T: Payload]:
    """Base of a declared workflow. Its body is read once, when the class statement ends.

    With a `flow` the steps follow its transitions. Without one they run as soon as what they are
    wired to has completed. A body that can't be wired raises `WorkflowDefinitionError` with every
    problem and the line it stands on; nothing of the workflow runs before it is right.

    `name` is what runs are stored under: the class's own name unless given, as in
    `class ApproveRefund(Workflow[RefundPayload], name="refunds")`.
    """

    payload: T  # never set: ties a workflow to its own payload for a type checker
    __definition__: ClassVar[Definition]

    def __init_subclass__(cls, *, name: str | None = None) -> None:
        """Compile the class body."""
        super().__init_subclass__()
        if any(hasattr(base, "__definition__") for base in cls.__mro__[1:]):
            problem = Problem("a workflow can't be extended: write its steps out again", author())
            raise WorkflowDefinitionError(cls.__name__, [problem])
        cls.__definition__ = compile_workflow(cls, name or cls.__name__)


def definition_of(workflow: type[Workflow[Payload]]) -> Definition:
    """The compiled definition of a workflow class."""
    return workflow.__definition__
