"""Typed values as stored JSON, and back.

What is stored must be what the next step can read: a value is dumped, refused if the database or
JSON can't hold it as it is, and validated against its own annotation before it leaves. Paths
(`resolve`) are followed on JSON, never on objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import isfinite
from typing import Any

import orjson
from pydantic import PydanticSchemaGenerationError, PydanticUserError, SecretBytes, SecretStr
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from squid_mesh.definition.annotations import show
from squid_mesh.definition.spec import Path

MAX_BYTES = 1024 * 1024
"""The largest value that is stored: 1 MiB of JSON."""

_LONG_NUMBER = re.compile(rb"\d{19}")
_INTEGERS = range(-(2**63), 2**64)


class Unstorable(ValueError):
    """A value that can't be stored as what its annotation says."""


class Unreadable(ValueError):
    """A stored value that its annotation no longer accepts."""


@dataclass(frozen=True)
class Codec:
    """One annotation's way to JSON and back."""

    annotation: Any

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation)

    @cached_property
    def _plain(self) -> bool:
        return any(self.annotation is plain for plain in (str, int, bool, float))

    @cached_property
    def _json_schema(self) -> dict[str, Any]:
        return self._adapter.json_schema(mode="serialization")

    @cached_property
    def digest(self) -> str:
        """Changes when what is accepted or stored changes: a hash of both JSON schemas."""
        schemas = [self._adapter.json_schema(mode="validation"), self._json_schema]
        document = orjson.dumps(schemas, option=orjson.OPT_SORT_KEYS)
        return sha256(document).hexdigest()[:16]

    @cached_property
    def secret(self) -> bool:
        """Whether a secret is among what is stored."""
        return b'"writeOnly":true' in orjson.dumps(self._json_schema)

    def check(self) -> str | None:
        """Why values of this annotation can't be stored, or None."""
        try:
            self._json_schema  # noqa: B018 (built here, kept for the digest)
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            return f"{show(self.annotation)} is nothing that JSON can hold ({_first_line(error)})"
        return None

    def dump(self, value: Any) -> bytes:
        """The value as JSON. Raises `Unstorable` with a sentence for the step's error."""
        if self.annotation is Any:
            return storable(_any_to_json(value))
        try:
            data = self._adapter.dump_json(value, by_alias=False, warnings="error")
        except PydanticSerializationError as error:
            raise Unstorable(f"is no {show(self.annotation)}: {_first_line(error)}") from None
        if b"null" in data and _holds_nan(self._adapter.dump_python(value)):
            raise Unstorable("holds NaN or an infinity, which JSON can't hold")
        if self.secret:
            data = _reveal(data, self._adapter.dump_python(value, by_alias=False))
        try:
            self._adapter.validate_json(storable(data), strict=True, by_name=True)
        except ValidationError as error:
            raise Unstorable(f"is no {show(self.annotation)}: {told(error)}") from None
        return data

    def load(self, value: Any) -> Any:
        """The typed value of a JSON value. Raises `Unreadable` with a sentence."""
        if self.annotation is Any or self._plain and type(value) is self.annotation:
            return value
        try:
            return self._adapter.validate_json(orjson.dumps(value), strict=True, by_name=True)
        except ValidationError as error:
            raise Unreadable(f"is no {show(self.annotation)}: {told(error)}") from None

    def load_json(self, data: bytes | str) -> Any:
        """The typed value of JSON text. Raises pydantic's `ValidationError`."""
        return self._adapter.validate_json(data, strict=True, by_name=True)


def told(error: ValidationError) -> str:
    """A validation error as one sentence that repeats no value."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(map(str, d['loc']))}: {d['msg']}" if d["loc"] else d["msg"] for d in details
    )


def storable(data: bytes, limit: int = MAX_BYTES) -> bytes:
    """The JSON itself, if Postgres and every JSON reader hold it as it is; raises `Unstorable`.

    Refused are NUL characters, lone surrogates, NaN and infinities, integers beyond 64 bits and
    more than `limit` bytes.
    """
    if len(data) > limit:
        raise Unstorable(
            f"is {len(data):,} bytes of JSON, the limit is {limit:,}: "
            "store it elsewhere and return a reference to it"
        )
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Unstorable(f"can't be stored as JSON: {_first_line(error)}") from None
    if b"\\u0000" in data and _holds_nul(value):
        raise Unstorable("holds a NUL character, which Postgres can't store")
    if _LONG_NUMBER.search(data):
        _refuse_long_integers(data)
    return data


def _any_to_json(value: Any) -> bytes:
    try:
        return to_json(value, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError) as error:
        raise Unstorable(f"can't be stored as JSON: {_first_line(error)}") from None


def _holds_nul(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case list():
            return any(map(_holds_nul, value))
        case dict():
            return any(_holds_nul(k) or _holds_nul(v) for k, v in value.items())
        case _:
            return False


def _holds_nan(value: Any) -> bool:
    """Whether a number is among the values that JSON writes as `null`."""
    match value:
        case float():
            return not isfinite(value)
        case Mapping():
            return any(map(_holds_nan, value.values()))
        case list() | tuple() | set() | frozenset():
            return any(map(_holds_nan, value))
        case _:
            return False


def _refuse_long_integers(data: bytes) -> None:
    def parse(digits: str) -> int:
        number = int(digits)
        if number not in _INTEGERS:
            raise Unstorable("holds an integer of more than 64 bits: return it as text")
        return number

    json.loads(data, parse_int=parse)


def _reveal(data: bytes, value: Any) -> bytes:
    """Pydantic's JSON writes secrets as asterisks; the database gets the secret itself."""
    return orjson.dumps(_revealed(orjson.loads(data), value))


def _revealed(stored: Any, value: Any) -> Any:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case SecretBytes():
            return value.get_secret_value().decode()
        case Mapping():
            return {k: _revealed(s, v) for (k, s), v in zip(stored.items(), value.values(), strict=True)}
        case list() | tuple():
            return [_revealed(s, v) for s, v in zip(stored, value, strict=True)]
        case _:
            return stored


class MissingPath(LookupError):
    """A path that the stored value doesn't have."""


def resolve(value: Any, path: Path) -> Any:
    """What a path leads to in a JSON value. Raises `MissingPath` naming the first missing part."""
    for place, segment in enumerate(path):
        try:
            value = value[segment]
        except (KeyError, IndexError, TypeError):
            missing = ".".join(map(str, path[: place + 1]))
            raise MissingPath(f"{missing} is not in the stored value") from None
    return value


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
