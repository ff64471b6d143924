"""The class that an author extends: `class PostDailyDigest(Workflow[DigestPayload])`."""

from __future__ import annotations

import types
import typing
from typing import Any, ClassVar

from squid_mesh.definition.body import WorkflowType
from squid_mesh.definition.compile import Definition, compile_workflow
from squid_mesh.definition.gathering import keep_or_raise
from squid_mesh.definition.payload import NoPayload, Payload
from squid_mesh.definition.source import author
from squid_mesh.definition.spec import PayloadSpec, WorkflowSpec
from squid_mesh.errors import Problem, Source, UnknownWorkflow, WorkflowDefinitionError, shown


class Workflow[T: Payload](metaclass=WorkflowType):
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
        try:
            cls.__definition__ = cls._compiled(cls.__name__ if name is None else name, author())
        except WorkflowDefinitionError as error:
            keep_or_raise(error)
            cls.__definition__ = _nothing(error.workflow)

    @classmethod
    def _compiled(cls, name: str, source: Source) -> Definition:
        if cls.__bases__ != (Workflow,):
            bases = ", ".join(base.__name__ for base in cls.__bases__)
            problem = Problem(
                f"{cls.__name__} extends {bases}: write class {cls.__name__}(Workflow[…]), which "
                "extends nothing else, with all its steps in this body",
                source,
            )
            raise WorkflowDefinitionError(cls.__name__, [problem])
        return compile_workflow(cls, name, _payload(cls), source)


def _payload(cls: type) -> object:
    """What stands in `Workflow[…]`."""
    (base,) = types.get_original_bases(cls)[:1]
    (payload,) = typing.get_args(base) or (NoPayload,)
    return payload


def _nothing(workflow: str) -> Definition:
    """A stand-in for what can't be compiled, where all problems of a process are gathered."""
    payload = PayloadSpec("reported:already", ())
    spec = WorkflowSpec(name=workflow, flow=False, triggers=(), payload=payload, steps=(), edges=())
    return Definition(spec, NoPayload, {}, {})


def definition_of(workflow: type[Workflow[Any]]) -> Definition:
    """The compiled definition of a workflow class."""
    return workflow.__definition__


def name_of_workflow(workflow: object) -> str:
    """What runs of a workflow are stored under; text is such a name already.

    Raises `UnknownWorkflow` for what is no workflow at all.
    """
    if isinstance(workflow, str):
        return workflow
    definition = getattr(workflow, "__definition__", None)
    if isinstance(workflow, type) and isinstance(definition, Definition):
        return definition.spec.name
    raise UnknownWorkflow(shown(workflow))
