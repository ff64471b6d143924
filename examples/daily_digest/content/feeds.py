"""Reading a feed: fetch it, and make plain data of what it says.

What is wrong for now (a server that is down, busy or slow) may be tried again, as the HTTP tool
says; what is wrong for good (no such page, not a feed) may not.
"""

import asyncio
import calendar
import hashlib
import html
import io
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import feedparser

from squid_mesh import StepError
from squid_mesh.tools.http import Http, Request

from .text import cut, strip_tags, tidy

MAX_TEXT = 500  # a feed may carry whole articles; their beginnings are enough here

# feedparser means to read anything, and falls over some of it: an unclosed quote, a stray NUL.
_STUMBLES = (AssertionError, AttributeError, LookupError, OverflowError, TypeError, ValueError)

_REFERENCE = re.compile(rb"&#(?:x([0-9a-f]+)|([0-9]+));", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One article. `published` is an ISO date with its offset, or None when it can't be read."""

    id: str
    title: str
    link: str
    summary: str
    published: str | None


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed as plain text, its entries in the feed's own order."""

    title: str
    url: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What a feed's URL answered: the body, its declared type, and where it was found at last."""

    body: bytes
    content_type: str
    url: str


async def fetch_feed(http: Http, feed_url: str) -> Feed:
    """Fetch and read an RSS or Atom feed.

    Raises what `http` raises, and `StepError` when what came back is none.
    """
    response = (await http.invoke(Request("GET", feed_url))).payload
    place = response.url.partition("?")[0]
    page = Page(response.body, response.headers.get("content-type", ""), place)
    # Five megabytes take feedparser two seconds, and the host's event loop has others to serve.
    return await asyncio.to_thread(read_feed, page, feed_url)


def read_feed(page: Page, feed_url: str) -> Feed:
    """The feed that `page` holds; raises `StepError` when it holds something else."""
    try:
        parsed = feedparser.parse(
            io.BytesIO(_mended(page.body)),  # as a file: bytes might be taken for a path
            response_headers={"content-type": page.content_type, "content-location": page.url},
            sanitize_html=False,  # everything is made plain text below
            resolve_relative_uris=False,  # inside of texts; links are resolved in any case
        )
    except _STUMBLES as error:
        raise _not_a_feed(page, feed_url) from error
    if not parsed.get("version"):
        raise _not_a_feed(page, feed_url)
    is_atom = parsed.version.startswith("atom")
    return Feed(
        title=_text(_fields(parsed.feed), "title", is_atom=is_atom)
        or urlsplit(page.url).hostname
        or "",
        url=feed_url,
        entries=tuple(_entry(_fields(entry), is_atom=is_atom) for entry in parsed.entries),
    )


def _mended(body: bytes) -> bytes:
    """`body` without references to what is no character, on which feedparser gives a feed up.

    Writers that know no emoji refer to their two surrogates instead.
    """

    def mend(reference: re.Match[bytes]) -> bytes:
        sixteen, ten = reference.groups()
        code = int(sixteen, 16) if sixteen else int(ten)
        is_character = code <= sys.maxunicode and not 0xD800 <= code <= 0xDFFF
        return reference[0] if is_character else b"&#xFFFD;"

    return _REFERENCE.sub(mend, body)


def _fields(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """One of feedparser's dictionaries as a plain one, without aliases that warn when read."""
    return dict(mapping)


def _entry(fields: dict[str, Any], *, is_atom: bool) -> Entry:
    title, summary = (_text(fields, key, is_atom=is_atom) for key in ("title", "summary"))
    link = tidy(fields.get("link") or "")
    return Entry(
        id=tidy(fields.get("id") or "") or link or _digest_of(title, summary),
        title=title,
        link=link,
        summary=summary,
        published=_iso_date(fields),
    )


def _text(fields: dict[str, Any], key: str, *, is_atom: bool) -> str:
    """A field as text. Only Atom says what it holds; elsewhere feedparser's guess decides."""
    value: str = fields.get(key) or ""
    if fields.get(f"{key}_detail", {}).get("type") != "text/plain":
        value = strip_tags(value)
    elif not is_atom:
        value = html.unescape(value)
    return cut(tidy(value), MAX_TEXT)


def _iso_date(fields: dict[str, Any]) -> str | None:
    moment = fields.get("published_parsed") or fields.get("updated_parsed")
    if moment is None:
        return None
    try:
        return datetime.fromtimestamp(calendar.timegm(moment), UTC).isoformat()
    except (OverflowError, ValueError):  # a year that datetime doesn't know
        return None


def _digest_of(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _not_a_feed(page: Page, feed_url: str) -> StepError:
    beginning = cut(tidy(page.body[:200].decode(errors="replace")), 60)
    what = f"{page.content_type or 'something untyped'} that begins {beginning!r}"
    return StepError(
        f"the feed isn't one: what came back is {what if page.body else 'empty'}",
        code="feed_unusable",
        details={"feed_url": feed_url},
        retryable=False,
    )
