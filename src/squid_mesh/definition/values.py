"""Typed values as stored JSON, and back.

What is stored must be what the next step can read: a value is dumped, refused if the database or
JSON can't hold it as it is, and validated against its own annotation before it leaves. Paths
(`resolve`) are followed on JSON, never on objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any, cast

import orjson
from pydantic import (
    PydanticSchemaGenerationError,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    Secret,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticSerializationError, to_json

from squid_mesh.definition.annotations import show
from squid_mesh.definition.schemas import digest
from squid_mesh.definition.spec import Json, Path

MAX_BYTES = 1024 * 1024
"""The largest value that is stored: 1 MiB of JSON."""

_LONG_NUMBER = b"0" * 19
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
"""A large value is searched for a row of zeros in a fifteenth of a regular expression's time."""
_INTEGERS = range(-(2**63), 2**64)
_MASK = b'"**********"'
"""How pydantic writes a secret."""
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()
"""How pydantic writes each byte of a lone surrogate in a key, where it refuses one in a value."""


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
        return digest(self._adapter.json_schema(mode="validation"), self._json_schema)

    @cached_property
    def secret(self) -> bool:
        """Whether a secret is among what is stored."""
        return b'"writeOnly":true' in orjson.dumps(self._json_schema)

    def check(self) -> str | None:
        """Why values of this annotation can't be stored, or None."""
        try:
            self._json_schema  # noqa: B018 (built here, kept for the digest)
        except _NO_SCHEMA as error:
            return f"{show(self.annotation)} is nothing that JSON can hold ({_reason(error)})"
        return None

    def dump(self, value: Any) -> bytes:
        """The value as JSON. Raises `Unstorable` with a sentence for the step's error."""
        data = self._dumped(value)
        if b"null" in data and any(map(_is_nan, self._leaves(value))):
            raise Unstorable("holds NaN or an infinity, which JSON can't hold")
        if _holds(data, _REPLACEMENT) and not all(
            map(is_storable, _keys(self._plain_python(value)))
        ):
            raise Unstorable("holds a lone surrogate in a key, which JSON can't hold")
        if _MASK in data:
            data = self._revealed(data, value)
        if self.annotation is not Any:
            self._check_readable(data)
        return storable(data)

    def _check_readable(self, data: bytes) -> None:
        try:
            self._adapter.validate_json(data, strict=True, by_name=True)
        except ValidationError as error:
            raise Unstorable(f"is no {show(self.annotation)}: {told(error)}") from None

    def _dumped(self, value: Any) -> bytes:
        try:
            if self.annotation is Any:
                return to_json(value, by_alias=False, inf_nan_mode="constants")
            return self._adapter.dump_json(value, by_alias=False, warnings="error")
        except (PydanticSerializationError, ValueError) as error:
            raise Unstorable(_mismatch(show(self.annotation), str(error))) from None

    def _plain_python(self, value: Any) -> Any:
        return self._adapter.dump_python(value, by_alias=False)

    def _leaves(self, value: Any) -> Iterator[Any]:
        return _leaves(self._plain_python(value))

    def _revealed(self, data: bytes, value: Any) -> bytes:
        """Pydantic's JSON writes secrets as asterisks; the database gets the secret itself."""
        secrets: list[Any] = [leaf for leaf in self._leaves(value) if isinstance(leaf, _SECRETS)]
        if not secrets:
            return data  # asterisks of its own
        if not self.secret or any(isinstance(leaf, Secret) for leaf in secrets):
            raise Unstorable("holds a secret that its annotation doesn't tell: write SecretStr")
        try:
            shape = self._adapter.dump_python(value, by_alias=False)
            return orjson.dumps(_reveal(orjson.loads(data), shape))
        except (ValueError, TypeError, AttributeError):
            raise Unstorable(
                "holds a secret in a form that can't be stored: use SecretStr"
            ) from None

    def load(self, value: Any) -> Any:
        """The typed value of a JSON value. Raises `Unreadable` with a sentence.

        Never the very value: what a body does to its inputs must not change what others are handed.
        """
        if self._plain and type(value) is self.annotation:
            return value
        if self.annotation is Any:
            return orjson.loads(orjson.dumps(value)) if isinstance(value, list | dict) else value
        try:
            return self._adapter.validate_json(orjson.dumps(value), strict=True, by_name=True)
        except ValidationError as error:
            raise Unreadable(f"is no {show(self.annotation)}: {told(error)}") from None

    def masked(self, value: Any) -> Any:
        """A stored value as it may be shown: without its secrets. Raises `Unreadable`."""
        if not self.secret:
            return value
        return orjson.loads(self._adapter.dump_json(self.load(value), by_alias=False))

    def load_json(self, data: bytes | str) -> Any:
        """The typed value of JSON text. Raises pydantic's `ValidationError`."""
        return self._adapter.validate_json(data, strict=True, by_name=True)


_NO_SCHEMA = (
    PydanticSchemaGenerationError,
    PydanticSerializationError,
    PydanticUndefinedAnnotation,
    PydanticUserError,
)


def _reason(error: Exception) -> str:
    """Why there is no schema, without pydantic's advice to its own users."""
    if getattr(error, "code", None) in {"class-not-fully-defined", "undefined-annotation"}:
        return "an annotation in it can't be resolved: import its type at run time, and before"
    return _first_line(error).partition(" Set `")[0]


_SECRETS = (Secret, SecretStr, SecretBytes)


def told(error: ValidationError) -> str:
    """A validation error as one sentence that repeats no value."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(map(str, d['loc']))}: {_message(d)}" if d["loc"] else _message(d)
        for d in details
    )


def _message(detail: Mapping[str, Any]) -> str:
    return _VALUELESS.get(detail["type"]) or str(detail["msg"])


_VALUELESS = {"union_tag_invalid": "Input should have one of the expected tags"}
"""Instead of the messages of pydantic's that repeat a value."""


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
    if _holds(data, b"\\u0000") and _holds_nul(value):
        raise Unstorable("holds a NUL character, which Postgres can't store")
    if _LONG_NUMBER in data.translate(_DIGITS_AS_ZEROS):
        json.loads(data, parse_int=_integer)
    return data


def is_storable(text: object) -> bool:
    """Whether it is text that Postgres can hold: without a NUL or a lone surrogate."""
    if not isinstance(text, str) or "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _holds(data: bytes, rare: bytes) -> bool:
    """Whether it is in there; to look for a byte that is rare takes a hundredth of the time."""
    return rare[0] in data and rare in data


def _integer(digits: str) -> int:
    number = int(digits)
    if number not in _INTEGERS:
        raise Unstorable("holds an integer of more than 64 bits: return it as text")
    return number


def _holds_nul(value: Json) -> bool:
    match value:
        case str():
            return "\0" in value
        case list():
            return any(map(_holds_nul, cast("list[object]", value)))
        case dict():
            entries = cast("dict[str, object]", value).items()
            return any(_holds_nul(part) for entry in entries for part in entry)
        case _:
            return False


def _leaves(value: Any) -> Iterator[Any]:
    """The values within what pydantic dumps as Python objects."""
    match value:
        case str() | bytes():
            yield value
        case Mapping():
            for item in cast("Mapping[object, object]", value).values():
                yield from _leaves(item)
        case Sequence() | AbstractSet():
            for item in cast("Collection[object]", value):
                yield from _leaves(item)
        case _:
            yield value


def _keys(value: Any) -> Iterator[str]:
    """The text keys within what pydantic dumps as Python objects."""
    match value:
        case Mapping():
            for key, item in cast("Mapping[object, object]", value).items():
                if isinstance(key, str):
                    yield key
                yield from _keys(item)
        case list() | tuple():
            for item in cast("Collection[object]", value):
                yield from _keys(item)
        case _:
            return


def _is_nan(value: Any) -> bool:
    """Whether it is a number that JSON writes as `null`."""
    return isinstance(value, float) and not isfinite(value)


def _reveal(stored: Json, value: Any) -> Json:
    """What is stored, with the secrets of the value that it was made of."""
    match value:
        case SecretBytes():
            return value.get_secret_value().decode()
        case SecretStr():
            return value.get_secret_value()
        case Mapping():
            values = cast("Mapping[object, object]", value).values()
            pairs = zip(stored.items(), values, strict=True)
            return {key: _reveal(item, v) for (key, item), v in pairs}
        case list() | tuple():
            pairs = zip(stored, cast("Sequence[object]", value), strict=True)
            return [_reveal(item, v) for item, v in pairs]
        case AbstractSet() if any(isinstance(leaf, _SECRETS) for leaf in _leaves(value)):
            # A set has no order by which to find the places of anything but secrets alone.
            return [_alone(item) for item in cast("AbstractSet[object]", value)]
        case _:
            return stored


def _alone(value: Any) -> Json:
    if not isinstance(value, SecretStr | SecretBytes):
        raise TypeError("a set with secrets and others in it")
    return _reveal(None, value)


_EXPECTED = re.compile(r"Expected `([^`]*)`[^\n]*?\[(?:field_name='(\w+)', )?input_value=")


def _mismatch(kind: str, message: str) -> str:
    """Why pydantic couldn't dump a value, without the value."""
    first = message.splitlines()[0]
    if first != "Pydantic serializer warnings:":
        return f"can't be stored as JSON: {first}"
    found = [
        f"{field}: expected {expected}" if field else f"expected {expected}"
        for expected, field in _EXPECTED.findall(message)
    ]
    return f"is no {kind}: {'; '.join(found) or 'it has too few or too many parts'}"


class MissingPath(LookupError):
    """A path that the stored value doesn't have."""


def resolve(value: Json, path: Path) -> Json:
    """What a path leads to in a JSON value. Raises `MissingPath` naming the first missing part."""
    for place, segment in enumerate(path):
        if not _has(value, segment):
            missing = ".".join(map(str, path[: place + 1]))
            raise MissingPath(f"{missing} is not in the stored value")
        value = value[segment]
    return value


def _has(value: Json, segment: str | int) -> bool:
    if isinstance(segment, str):
        return isinstance(value, dict) and segment in value
    return isinstance(value, list) and 0 <= segment < len(cast("list[object]", value))


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
