"""What a step has to be like to be handed a connection or a session.

The classes of psycopg and SQLAlchemy are known here by their names: the core imports neither.
"""

from __future__ import annotations

import typing
from typing import Any

from squid_mesh.definition.actions import name_of
from squid_mesh.definition.annotations import bare, show
from squid_mesh.definition.surroundings import Inject

_CONNECTIONS = {True: "psycopg:AsyncConnection", False: "psycopg:Connection"}
_SESSIONS = {
    True: "sqlalchemy.ext.asyncio.session:AsyncSession",
    False: "sqlalchemy.orm.session:Session",
}
"""What is handed to an `async def` and to a `def`."""


def misfit(wire: Inject, annotation: Any, *, is_async: bool) -> str | None:
    """Why a step can't be handed this at a parameter annotated so, with what to write instead."""
    match wire.origin:
        case "connection":
            return _misfit(annotation, _CONNECTIONS, "connection", is_async=is_async)
        case "session":
            return _unknown(wire.type) or _misfit(
                wire.type, _SESSIONS, "session", is_async=is_async
            )
        case _:
            return None


def _misfit(kind: Any, handed: dict[bool, str], what: str, *, is_async: bool) -> str | None:
    """Whether an `async def` gets the kind that only a `def` can use, or the reverse."""
    if handed[not is_async] not in _names(kind):
        return None
    step, other = ("an async step", "`def`") if is_async else ("a sync step", "`async def`")
    right = handed[is_async].rpartition(":")[2]
    advice = f"annotate it {right}" if what == "connection" else f"write session({right})"
    return f"{step} is handed {right}, not {show(kind)}: {advice}, or make it {other}"


def _unknown(kind: Any) -> str | None:
    if any(name in _names(kind) for name in _SESSIONS.values()):
        return None
    return f"{show(kind)} is no session of SQLAlchemy: write session(AsyncSession) or resource(…)"


def _names(annotation: Any) -> list[str]:
    """The class that an annotation names, and its bases, by name."""
    plain = bare(annotation)
    kind = typing.get_origin(plain) or plain
    return [name_of(base) for base in getattr(kind, "__mro__", ())]
