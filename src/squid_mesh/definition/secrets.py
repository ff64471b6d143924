"""The secrets that a run has stored, and text and JSON without them.

A secret is a `SecretStr` of the payload or of an output. Where it is declared it is masked by its
place; here it is found by what it says, wherever it got to: into the text of an exception, the
details of an error, somebody's comment. Only runs whose definition tells of secrets have any.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, cast
from urllib.parse import quote, quote_plus

from pydantic import SecretBytes, SecretStr

from squid_mesh.definition.spec import Json, WorkflowSpec
from squid_mesh.definition.values import Codec, Unreadable

MASK = "**********"
"""What is shown in place of a secret."""

_SHORT = 4
"""Characters of which a secret has to have more to be hidden within words."""


@dataclass(frozen=True)
class Secrets:
    """What must not be shown of one run."""

    texts: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        spec: WorkflowSpec,
        payload: Json,
        outputs: Mapping[str, Json],
        codecs: Mapping[str, Codec],
        payload_codec: Codec | None = None,
    ) -> Self:
        """The secrets in what a run has stored.

        `codecs` read the outputs of steps and `payload_codec` the payload, as far as loaded code
        knows how; without one, all text is secret where the definition says that some is.
        """
        texts: set[str] = set()
        fields = {field.name for field in spec.payload.fields if field.secret}
        if fields and isinstance(payload, dict):
            texts.update(_told(cast("dict[str, Json]", payload), payload_codec, fields))
        for step in spec.steps:
            if step.action is not None and step.action.secret and step.name in outputs:
                texts.update(_told(outputs[step.name], codecs.get(step.name)))
        return cls(frozenset(texts - {""}))

    def hide(self, text: str) -> str:
        """A text without them, also where they are quoted, escaped or part of an address."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def hide_in[Value](self, value: Value) -> Value:
        """A JSON value without them, in every text and key of it."""
        return value if self._pattern is None else cast("Value", self._hidden(value))

    def _hidden(self, value: Json) -> Json:
        match value:
            case str():
                return self.hide(value)
            case list():
                return [self._hidden(item) for item in cast("list[object]", value)]
            case dict():
                items = cast("dict[str, Json]", value).items()
                return {self.hide(key): self._hidden(item) for key, item in items}
            case _:
                return value

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        if not self.texts:
            return None
        forms = {form for text in self.texts for form in _forms(text)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        return re.compile("|".join(map(_word, longest_first)))


NO_SECRETS = Secrets()


def _told(value: Json, codec: Codec | None, fields: set[str] | None = None) -> Iterator[str]:
    """The secret texts in a value; with `fields`, in those fields of it only."""
    shown: Json = None
    if codec is not None and codec.secret:
        try:
            shown = codec.masked(value)
        except Unreadable:
            shown = None
    if fields is None:
        yield from _texts(value) if shown is None else _masked(value, shown)
        return
    for name in fields & value.keys():
        yield from _texts(value[name]) if shown is None else _masked(value[name], shown[name])


def _masked(value: Json, shown: Json) -> Iterator[str]:
    """The texts of a value that were masked to show it."""
    match value, shown:
        case dict(), dict():
            pairs = cast("dict[str, Json]", value), cast("dict[str, Json]", shown)
            for name in pairs[0].keys() & pairs[1].keys():
                yield from _masked(pairs[0][name], pairs[1][name])
        case list(), list():
            for item, other in zip(cast("list[object]", value), cast("list[object]", shown)):  # noqa: B905  # a set has no order, and may shrink
                yield from _masked(item, other)
        case str(), str() if shown == MASK != value:
            yield value
        case _:
            pass


def _texts(value: Json) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in cast("list[object]", value):
                yield from _texts(item)
        case dict():
            for item in cast("dict[str, Json]", value).values():
                yield from _texts(item)
        case _:
            pass


def _forms(text: str) -> set[str]:
    """How a text may be written: as it is, in a `repr`, in JSON, in an address."""
    return {
        text,
        repr(text)[1:-1],
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        quote(text, safe=""),
        quote(text),
        quote_plus(text),
    }


def _word(form: str) -> str:
    """Short ones are hidden where they stand alone: every text has an "a" in it."""
    pattern = re.escape(form)
    return pattern if len(form) > _SHORT else rf"(?<!\w){pattern}(?!\w)"


def revealed(value: Any) -> Any:
    """A value that was written with secrets in it, as what JSON is made of."""
    match value:
        case SecretStr() | SecretBytes():
            return value.get_secret_value()
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return {key: revealed(item) for key, item in items}
        case list() | tuple():
            return [revealed(item) for item in cast("list[object]", value)]
        case _:
            return value
