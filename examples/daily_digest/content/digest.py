"""Writing a feed up as one Discord message. Pure.

Discord's limits are on characters, which its server counts as code points and its clients as
UTF-16 code units. Units are never fewer, so they are what is counted here.
"""

import re
from dataclasses import dataclass

from .feeds import Entry, Feed
from .text import cut, units

MAX_CONTENT = 2000
MAX_EMBEDS = 10
MAX_TITLE = 256
MAX_DESCRIPTION = 4096
MAX_EMBEDS_TEXT = 6000  # over all embeds of the message
MAX_URL = 2048

# Discord refuses a whole message for one link that it doesn't take for a public one.
_PUBLIC_URL = re.compile(r"https?://([\w-]+\.)+[\w-]+(:\d{1,5})?([/?#]\S*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Embed:
    """One entry of the digest. `timestamp` is an ISO date."""

    title: str
    description: str | None
    url: str | None
    timestamp: str | None


@dataclass(frozen=True, slots=True)
class Digest:
    """A message within Discord's limits."""

    content: str
    embeds: tuple[Embed, ...]


def build_digest(feed: Feed, posted_on: str) -> Digest:
    """The first ten entries of `feed`, each with an equal share of the text that Discord allows."""
    shown = feed.entries[:MAX_EMBEDS]
    share = MAX_EMBEDS_TEXT // max(len(shown), 1)
    headline = f"**{cut(feed.title, MAX_TITLE)}** · {posted_on}\n{_count(len(shown), feed)}"
    return Digest(
        content=cut(headline, MAX_CONTENT),
        embeds=tuple(_embed(entry, share) for entry in shown),
    )


def _count(shown: int, feed: Feed) -> str:
    match len(feed.entries):
        case 0:
            return "The feed has no entries."
        case 1:
            return "1 entry"
        case total if total > shown:
            return f"{shown} of {total} entries"
        case total:
            return f"{total} entries"


def _embed(entry: Entry, share: int) -> Embed:
    title = cut(entry.title.strip() or "(untitled)", MAX_TITLE)
    room = min(MAX_DESCRIPTION, share - units(title))
    return Embed(
        title=title,
        description=cut(entry.summary, room) or None,
        url=entry.link if _is_public(entry.link) else None,
        timestamp=entry.published,
    )


def _is_public(url: str) -> bool:
    return units(url) <= MAX_URL and _PUBLIC_URL.fullmatch(url) is not None
