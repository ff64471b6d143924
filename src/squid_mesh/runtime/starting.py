"""Starts runs: a validated payload, a run, its first steps and their jobs, in one statement."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import orjson
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from squid_mesh.definition.compile import Definition
from squid_mesh.definition.payload import Payload
from squid_mesh.definition.secrets import Secrets, revealed
from squid_mesh.definition.values import MAX_BYTES, Codec, Unstorable
from squid_mesh.engine.graph import Graph
from squid_mesh.errors import InvalidPayload, InvalidTrigger, PayloadTooLarge, shown
from squid_mesh.store.records import FirstStep, Start

LONGEST_TEXT = 255
"""Characters of a key, a tag or its name, at most."""

PRIORITIES = range(-2, 5)
"""What a run may be started with; lower begins first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a caller asked to be started."""

    payload: Payload | Mapping[str, Any] | None
    trigger: str | None = None
    key: str | None = None
    tags: Mapping[str, str] | None = None
    priority: int = 0

    def check(self) -> None:
        """Raise `ValueError` or `TypeError` for what isn't payload and can't be stored."""
        if self.key is not None:
            _check_text("key", self.key)
        _check_tags({} if self.tags is None else self.tags)
        _check_priority(self.priority)


def _check_tags(tags: object) -> None:
    if not isinstance(tags, Mapping):
        raise TypeError(f"tags={shown(tags)}: write a mapping of text to text")
    for name, value in cast("Mapping[object, object]", tags).items():
        _check_text("a tag's name", name)
        _check_text(f"tag {name!r}", value)


def _check_priority(priority: object) -> None:
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise TypeError(f"priority={shown(priority)}: write a whole number")
    if priority not in PRIORITIES:
        raise ValueError(f"priority={shown(priority)}: from -2, which begins first, to 4")


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{what} is {shown(value)}: write text")
    if not 0 < len(value) <= LONGEST_TEXT or "\0" in value or not value.isprintable():
        raise ValueError(f"{what} must be 1 to {LONGEST_TEXT} printable characters")


def to_start(definition: Definition, request: Request, index: int | None = None) -> Start:
    """A validated start; `index` is its place among several.

    Raises `InvalidTrigger`, `InvalidPayload` or `PayloadTooLarge`.
    """
    request.check()
    spec = definition.spec
    trigger = spec.triggers[0].name if request.trigger is None else request.trigger
    if trigger not in [t.name for t in spec.triggers]:
        raise InvalidTrigger(spec.name, trigger, [t.name for t in spec.triggers])
    graph = Graph(spec)
    return Start(
        run_id=uuid7(),
        workflow=spec.name,
        definition=definition.version,
        trigger=trigger,
        payload=stored_payload(definition, request.payload, index),
        first=first_steps(graph),
        open_ends=graph.ends,
        key=request.key,
        tags=dict(request.tags or {}),
        priority=request.priority,
    )


def first_steps(graph: Graph) -> tuple[FirstStep, ...]:
    """The rows that a run begins with."""
    ready = [FirstStep(name, 0, graph.step(name).queue) for name in graph.entries]
    waiting = [FirstStep(name, n, graph.step(name).queue) for name, n in graph.waiting.items()]
    return (*ready, *waiting)


def stored_payload(
    definition: Definition, payload: Payload | Mapping[str, Any] | None, index: int | None = None
) -> bytes:
    """A payload as JSON, defaults filled in. Raises `InvalidPayload` with every problem."""
    name = definition.spec.name
    model = definition.payload
    if not isinstance(payload, model):
        payload = _validated(definition, payload, index)
    try:
        return Codec(model).dump(payload)
    except Unstorable as error:
        size = len(payload.model_dump_json())
        if size > MAX_BYTES:
            raise PayloadTooLarge(size, MAX_BYTES) from None
        raise InvalidPayload(name, invalid_fields={"payload": str(error)}, index=index) from None


def _validated(definition: Definition, payload: Any, index: int | None) -> Payload:
    model, name = definition.payload, definition.spec.name
    if payload is not None and not isinstance(payload, Mapping):
        problem = f"pass {model.__name__}(…) or a mapping, not {type(payload).__name__}"
        raise InvalidPayload(name, invalid_fields={"payload": problem}, index=index)
    written: dict[str, Any] = {}
    try:
        written = revealed(payload or {})
        return model.model_validate_json(to_json(written, inf_nan_mode="constants"))
    except (PydanticSerializationError, UnicodeEncodeError, RecursionError) as error:
        problem = f"can't be read as JSON: {error}"
        raise InvalidPayload(name, invalid_fields={"payload": problem}, index=index) from None
    except ValidationError as error:
        secrets = Secrets.of(definition.spec, written, {}, {})
        raise _invalid(name, error, index, secrets) from None


def _invalid(
    name: str, error: ValidationError, index: int | None, secrets: Secrets
) -> InvalidPayload:
    missing: list[str] = []
    unknown: list[str] = []
    invalid: dict[str, str] = {}
    for detail in error.errors(include_url=False, include_input=False):
        path = ".".join(map(str, detail["loc"]))
        match detail["type"]:
            case "missing":
                missing.append(path)
            case "extra_forbidden":
                unknown.append(path)
            case _:
                invalid[path or "payload"] = secrets.hide(detail["msg"])
    return InvalidPayload(
        name,
        missing_fields=missing,
        unknown_fields=sorted(unknown),
        invalid_fields=invalid,
        index=index,
    )


def same_request(start: Start, trigger: str, payload: str) -> bool:
    """Whether a run that holds the key was started with the same trigger and payload."""
    return trigger == start.trigger and orjson.loads(payload) == orjson.loads(start.payload)


def uuid7() -> UUID:
    """A time-ordered id: neighbours in time are neighbours in the index."""
    stamp = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10))
    high = stamp << 80 | 0x7 << 76 | (noise >> 68 & 0xFFF) << 64
    return UUID(int=high | 0b10 << 62 | noise & ((1 << 62) - 1))
