"""Who decides, and what they say of it: checked before anything is looked at, kept by the audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from squid_mesh.definition.values import Codec, Unstorable
from squid_mesh.errors import shown

LONGEST_KEY = 255
"""Characters of a decision's key, at most."""

_anything = Codec(Any)
_mappings = Codec(list[dict[str, Any]])  # as deep as in a `Decision`, which has to be read back


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What comes with a manual decision. `key` makes it idempotent."""

    actor: str | Mapping[str, Any] | None = None
    comment: str | None = None
    metadata: Mapping[str, Any] | None = None
    key: str | None = None

    def problems(self, *, needs_actor: bool) -> dict[str, str]:
        """What is missing or of the wrong kind, by name, in sentences; empty when all is well."""
        found = {
            "actor": self._actor(needs_actor=needs_actor),
            "comment": None if self.comment is None else _text(self.comment),
            "metadata": None if self.metadata is None else _mapping(self.metadata),
            "key": None if self.key is None else _key(self.key),
        }
        return {name: problem for name, problem in found.items() if problem is not None}

    def _actor(self, *, needs_actor: bool) -> str | None:
        match self.actor:
            case None:
                return "is required: say who decides" if needs_actor else None
            case str():
                return _text(self.actor)
            case {}:
                return _mapping(self.actor) if self.actor else "is empty: say who decides"
            case _:
                return f"is {shown(self.actor)}: pass text or a mapping"


NO_FACTS = Facts()
"""What nobody says."""


def as_json(value: Any) -> str | None:
    """A checked fact as it is stored."""
    if value is None:
        return None
    plain = dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value
    return _anything.dump(plain).decode()


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return f"is {shown(value)}: pass text"
    return (
        "is empty: leave it out, or say something"
        if not value.strip()
        else _unstorable(_anything, value)
    )


def _mapping(value: object) -> str | None:
    if not isinstance(value, Mapping):
        return f"is {shown(value)}: pass a mapping"
    plain = dict(cast("Mapping[str, Any]", value))
    return _unstorable(_anything, plain) or _unstorable(_mappings, [plain])


def _key(value: object) -> str | None:
    if not isinstance(value, str):
        return f"is {shown(value)}: pass text"
    if not 0 < len(value) <= LONGEST_KEY or not value.isprintable():
        return f"must be 1 to {LONGEST_KEY} printable characters"
    return None


def _unstorable(codec: Codec, value: Any) -> str | None:
    try:
        codec.dump(value)
    except Unstorable as error:
        return str(error)
    return None
