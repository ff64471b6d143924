"""Words that messages share: suggestions for misspelt names, and what a step is called."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from squid_mesh.definition.spec import StepKind


def hint(name: str, among: Iterable[str]) -> str:
    """A question ("; did you mean 'feed_url'?") for a name close to one of these, else nothing."""
    close = get_close_matches(name, list(among), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def label(kind: StepKind, name: str) -> str:
    """A step as messages call it: `step 'fetch_feed'`, `approval 'review'`."""
    return f"{word(kind)} {name!r}"


def word(kind: StepKind) -> str:
    """What an author calls this kind of step."""
    return "step" if kind is StepKind.ACTION else str(kind)
