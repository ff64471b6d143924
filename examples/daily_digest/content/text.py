"""Text that strangers wrote: made plain, made storable, and cut to length. Pure."""

import re
import unicodedata
from html.parser import HTMLParser
from typing import override

# Such as Word's `<![if !vml]>`, of which HTMLParser makes an assertion error.
_MARKED_SECTION = re.compile(r"<!\[[^>]*>?")

_ZERO_WIDTH_JOINER = "\u200d"
_UNSEEN = frozenset({"script", "style", "template"})
_INLINE = frozenset({"a", "abbr", "b", "code", "em", "i", "mark", "small", "span", "strong", "u"})


def strip_tags(markup: str) -> str:
    """What a reader of `markup` would see: no tags, no scripts, entities unescaped."""
    reader = _Reader()
    reader.feed(_MARKED_SECTION.sub(" ", markup))
    reader.close()
    return "".join(reader.seen)


def tidy(text: str) -> str:
    """`text` on one line, without what JSON or Postgres can't hold: NUL and lone surrogates."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join("".join(char for char in whole if not _is_control(char)).split())


def units(text: str) -> int:
    """The length of `text` in UTF-16 code units: an emoji is two."""
    return len(text) + sum(char > "\uffff" for char in text)


def cut(text: str, limit: int) -> str:
    """`text` if it has at most `limit` (one or more) units, else its beginning and an ellipsis.

    A character is never cut in two: neither its surrogates nor what joins it to its neighbours.
    """
    if units(text) <= limit:
        return text
    room = text.encode("utf-16-le", "surrogatepass")[: 2 * (limit - 1)]
    end = len(room.decode("utf-16-le", "ignore"))
    while end and _belong_together(text[end - 1], text[end]):
        end -= 1
    return text[:end].rstrip() + "…"


class _Reader(HTMLParser):
    """Collects what is seen; a tag that breaks the line also parts words."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._unseen = 0

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen += tag in _UNSEEN
        self._part_words(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in _UNSEEN))
        self._part_words(tag)

    @override
    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.seen.append(data)

    def _part_words(self, tag: str) -> None:
        if tag not in _INLINE:
            self.seen.append(" ")


def _belong_together(before: str, after: str) -> bool:
    """Whether the two are drawn as one: accents, joined emoji, skin tones, flags."""
    return (
        _ZERO_WIDTH_JOINER in (before, after)
        or unicodedata.category(after).startswith("M")
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or (_is_flag_letter(before) and _is_flag_letter(after))
    )


def _is_flag_letter(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _is_control(char: str) -> bool:
    return unicodedata.category(char) == "Cc" and not char.isspace()
