"""The typed payload of a workflow: a strict, frozen pydantic model whose fields can be wired.

`DigestPayload.feed_url` on the class is a reference that a type checker reads as `str`;
on an instance it is the value.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any, cast, dataclass_transform

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from squid_mesh.definition.gathering import keep_or_raise
from squid_mesh.definition.hints import hint
from squid_mesh.definition.reference import Attribute, Ref, Target
from squid_mesh.definition.source import author
from squid_mesh.definition.spec import Origin
from squid_mesh.errors import Problem, Source, WorkflowDefinitionError

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

_construction = threading.local()
"""Pydantic looks for defaults on the bases of a class it builds; no reference may stand there."""


# Repeated from pydantic's own metaclass: a checker takes the nearest, and without it a wrong
# payload passes silently.
@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(Field, PrivateAttr)
)
class PayloadType(ModelMetaclass):
    """The metaclass of `Payload`: fields read on the class are references."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any
    ) -> PayloadType:
        """Build the model; a field that hides an attribute of pydantic's own is refused."""
        outer = getattr(_construction, "active", False)
        _construction.active = True
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", r".*shadows an attribute", UserWarning)
                cls = cast(
                    "type[BaseModel]", super().__new__(mcs, name, bases, namespace, **options)
                )
        finally:
            _construction.active = outer
        _refuse_hidden(cls, author())
        return cast("PayloadType", cls)

    if not TYPE_CHECKING:  # a checker knows the fields by themselves, and only them

        def __getattr__(cls, name: str) -> Any:
            fields = cls.__dict__.get("__pydantic_fields__", {})
            if name in fields and not getattr(_construction, "active", False):
                return Ref(Target(Origin.PAYLOAD, owner=cls, path=(Attribute(name),)))
            try:
                return super().__getattr__(name)
            except AttributeError:
                if name.startswith("__") or not fields:
                    raise
                message = f"payload {cls.__name__} has no field {name!r}{hint(name, fields)}"
                raise AttributeError(message, name=name, obj=cls) from None


def _refuse_hidden(cls: type[BaseModel], source: Source) -> None:
    hidden = [name for name in cls.model_fields if hasattr(BaseModel, name)]
    if hidden:
        problems = [
            Problem(
                f"payload field {name!r} hides pydantic's own `BaseModel.{name}`: rename it", source
            )
            for name in hidden
        ]
        keep_or_raise(WorkflowDefinitionError(cls.__name__, problems))


class Payload(BaseModel, metaclass=PayloadType):
    """Base of a workflow's payload: strict, without unknown fields, immutable.

    A default is filled in once, when a run is started, and stored with the run.
    """

    # No namespace is protected, as a field that hides anything of pydantic's is refused here.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, protected_namespaces=())


class NoPayload(Payload):
    """The payload of a workflow that needs none."""
