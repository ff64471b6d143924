"""What of a JSON schema decides whether a stored value fits: all but prose, names and order."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

import orjson

from squid_mesh.definition.spec import Json

_PROSE = frozenset({"title", "description", "default", "examples", "deprecated"})
_NAMED = frozenset({"properties", "patternProperties"})
_LITERAL = frozenset({"const", "enum"})
_DEFINITIONS = "#/$defs/"


def digest(*schemas: Mapping[str, Any]) -> str:
    """A hash that is the same in every process, and after a docstring or a default has changed."""
    document = [_Essence(schema).whole() for schema in schemas]
    return sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


class _Essence:
    """Rewrites one schema. Its definitions are numbered in the order of their first use."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = {key: value for key, value in schema.items() if key != "$defs"}
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})
        self._numbers: dict[str, int] = {}

    def whole(self) -> Json:
        """The schema and every definition that it uses."""
        parts = [self._of(self._schema)]
        done = 0
        while done < len(self._numbers):
            parts.append(self._of(self._definitions[list(self._numbers)[done]]))
            done += 1
        return parts

    def _of(self, schema: Json) -> Json:
        match schema:
            case dict():
                keys = cast("dict[str, object]", schema).items()
                return {k: self._under(k, v) for k, v in keys if k not in _PROSE}
            case list():
                return [self._of(item) for item in cast("list[object]", schema)]
            case str() if schema.startswith(_DEFINITIONS):
                name = schema.removeprefix(_DEFINITIONS)
                return self._numbers.setdefault(name, len(self._numbers))
            case _:
                return schema

    def _under(self, key: str, value: Json) -> Json:
        if key in _NAMED:
            return {name: self._of(schema) for name, schema in value.items()}
        if key == "required":
            return sorted(value)
        return value if key in _LITERAL else self._of(value)
