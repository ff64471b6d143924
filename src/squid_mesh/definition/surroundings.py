"""Wires to what isn't stored: the context, resources, a connection or session, and `optional`.

Each is typed as the value that the body will be handed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

from squid_mesh.definition.handed import StepContext
from squid_mesh.definition.payload import Payload
from squid_mesh.definition.reference import Broken, Ref, Target, as_optional
from squid_mesh.definition.spec import Origin


@dataclass(frozen=True, slots=True)
class Inject:
    """Something that the runtime hands to the body."""

    origin: Literal["context", "resource", "connection", "session"]
    type: Any = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Broken(f"{self.origin} is handed over whole: wire it, and use .{name} in the step")


context: StepContext = cast("StepContext", Inject("context"))
"""The run, the step and the attempt that a body runs for."""


def resource[T](kind: type[T], /) -> T:
    """The object of this type that the mesh was given: `Mesh(..., resources=[http])`."""
    return cast("T", Inject("resource", kind))


def connection() -> Any:
    """A psycopg connection whose transaction commits together with the step's result.

    An `AsyncConnection` for an `async def`, out of the mesh's pool; a `Connection` for a `def`, out
    of a `psycopg_pool.ConnectionPool` among the mesh's resources, or made as the mesh's pool makes
    its own. What the body writes with it, the step's result and what comes next are one
    transaction: it is begun before the body and committed after it has returned, or rolled back
    when it has raised. A body that commits or rolls back by itself fails its step;
    `connection.transaction()` inside it is a savepoint, to undo a part.
    """
    return Inject("connection")


def session[S](kind: type[S], /) -> S:
    """A SQLAlchemy session whose transaction commits together with the step's result.

    `session(AsyncSession)` for an `async def`, out of an `async_sessionmaker` among the mesh's
    resources; `session(Session)` for a `def`, out of a `sessionmaker`. Its engine is the host's
    own, on psycopg (`postgresql+psycopg://`) and on the mesh's database. It is flushed and
    committed after the body has returned. A body that commits, rolls back or closes it fails its
    step; `session.begin_nested()` is a savepoint, to undo a part.
    """
    return cast("S", Inject("session", kind))


def optional[T](reference: T, /) -> T | None:
    """A reference that may not have been produced on the way here: None then."""
    if isinstance(reference, Ref):
        return cast("T", as_optional(reference))
    broken = Broken(
        "optional(…) takes a reference: write optional(step.output), or leave optional out"
    )
    return cast("T", broken)


def whole[P: Payload](model: type[P], /) -> P:
    """The run's whole payload."""
    return cast("P", Ref(Target(Origin.PAYLOAD, owner=model)))
