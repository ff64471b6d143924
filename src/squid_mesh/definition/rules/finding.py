"""What a rule finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

type Place = tuple[str, str | int] | None
"""What it is about: ("step" or "trigger", name), ("edge", index), ("flow", "") or the whole."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule and its place."""

    place: Place
    message: str


def repeated(what: str, names: Iterable[str]) -> Iterator[Finding]:
    """A finding if a name occurs twice."""
    twice = [repr(name) for name, n in Counter(names).items() if n > 1]
    if twice:
        named = ", ".join(twice)
        yield Finding(None, f"duplicate {what} names: {named}: give each a name of its own")
