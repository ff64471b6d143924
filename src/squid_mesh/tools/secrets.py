"""Takes secrets out of text that people will read: messages, details, logs."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "•••"
SHORTEST = 6
"""Characters that a value has to have for other text to be searched for it."""


class Secrets:
    """The secrets of one call."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Remember a secret, in the forms in which it may be met again."""
        if len(value) >= SHORTEST:
            self._values |= {value, quote(value, safe=""), quote_plus(value)}

    def mask(self, text: str) -> str:
        """The text without them."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        return text
