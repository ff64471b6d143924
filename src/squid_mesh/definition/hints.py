"""Suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def hint(name: str, among: Iterable[str]) -> str:
    """"; did you mean 'feed_url'?" for a name that is close to one of these, else nothing."""
    close = get_close_matches(name, list(among), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
