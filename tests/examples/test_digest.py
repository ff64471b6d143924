from datetime import UTC
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.daily_digest.content import Digest, Embed, Entry, Feed, build_digest
from examples.daily_digest.content.discord import message
from examples.daily_digest.content.text import units
from examples.daily_digest.servers import field_errors

DATES = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat())
LINKS = st.one_of(st.text(), st.text(max_size=50).map(lambda text: f"https://{text}.example.org/"))
# Repeated, because no generator writes long texts by itself.
TEXTS = st.tuples(st.text(), st.sampled_from([1, 30, 1000])).map(lambda pair: pair[0] * pair[1])
ENTRIES = st.builds(
    Entry,
    id=st.text(),
    title=TEXTS,
    link=LINKS,
    summary=TEXTS,
    published=st.none() | DATES,
)
FEEDS = st.builds(
    Feed, title=TEXTS, url=st.text(), entries=st.lists(ENTRIES, max_size=12).map(tuple)
)


def entry(title: str = "Title", summary: str = "", link: str = "") -> Entry:
    return Entry(id="1", title=title, link=link, summary=summary, published=None)


def feed(*entries: Entry) -> Feed:
    return Feed(title="Harbour News", url="https://news.example.org/", entries=entries)


def digest(*embeds: Embed, content: str = "Harbour News") -> Digest:
    return Digest(content=content, embeds=embeds)


def embed(title: str = "Title", description: str | None = None, url: str | None = None) -> Embed:
    return Embed(title=title, description=description, url=url, timestamp=None)


def codes(built: Digest) -> list[str]:
    return [f"{'.'.join(error.path)} {error.code}" for error in field_errors(message(built))]


@given(FEEDS, st.text())
def test_whatever_the_feed_discord_takes_its_digest(feed: Feed, posted_on: str) -> None:
    built = build_digest(feed, posted_on)

    assert codes(built) == []
    assert units(built.content) <= 2000
    assert len(built.embeds) <= 10
    assert all(units(embed.title) <= 256 for embed in built.embeds)
    assert all(units(embed.description or "") <= 4096 for embed in built.embeds)
    total = sum(units(embed.title) + units(embed.description or "") for embed in built.embeds)
    assert total <= 6000


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        (0, "The feed has no entries."),
        (1, "1 entry"),
        (2, "2 entries"),
        (10, "10 entries"),
        (500, "10 of 500 entries"),
    ],
)
def test_the_digest_says_how_much_there_is(entries: int, line: str) -> None:
    built = build_digest(feed(*[entry()] * entries), "2026-01-05")
    assert built.content == f"**Harbour News** · 2026-01-05\n{line}"
    assert len(built.embeds) == min(entries, 10)


@pytest.mark.parametrize("count", range(1, 11))
def test_the_room_is_used_up_and_shared_alike(count: int) -> None:
    built = build_digest(feed(*[entry("t" * 300, "s" * 9000)] * count), "2026-01-05")

    assert {len(embed.title) for embed in built.embeds} == {256}
    assert {len(embed.description or "") for embed in built.embeds} == {
        min(4096, 6000 // count - 256)
    }


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://news.example.org/2026/01?a=b#c", "https://news.example.org/2026/01?a=b#c"),
        ("HTTP://127.0.0.1:8000/a", "HTTP://127.0.0.1:8000/a"),
        ("https://blåbær.example.no/", "https://blåbær.example.no/"),
        ("", None),
        ("javascript:alert(1)", None),
        ("ftp://files.example.org/a", None),
        ("http://localhost:8000/a", None),
        ("https://[broken.example.org/", None),
        ("https://news.example.org/a b", None),
        (f"https://news.example.org/{'a' * 2048}", None),
    ],
)
def test_only_links_that_discord_takes_are_linked(link: str, url: str | None) -> None:
    built = build_digest(feed(entry(link=link)), "2026-01-05")
    assert built.embeds[0].url == url
    assert codes(built) == []


@pytest.mark.parametrize("title", ["", "  ", "\n"])
def test_an_entry_without_a_title_gets_one(title: str) -> None:
    built = build_digest(feed(entry(title)), "2026-01-05")
    assert built.embeds[0].title == "(untitled)"


def test_nobody_is_mentioned() -> None:
    built = build_digest(feed(entry("Hello @everyone")), "2026-01-05")
    assert message(built)["allowed_mentions"] == {"parse": []}


def test_what_is_missing_is_not_sent() -> None:
    assert message(digest(embed()))["embeds"] == [{"title": "Title"}]


FULL = [embed("t" * 256, "d" * 344)] * 10


@pytest.mark.parametrize(
    ("just_within", "just_beyond", "code"),
    [
        (digest(content="c" * 2000), digest(content="c" * 2001), "content BASE_TYPE_MAX_LENGTH"),
        (digest(*[embed()] * 10), digest(*[embed()] * 11), "embeds BASE_TYPE_MAX_LENGTH"),
        (
            digest(embed("t" * 256)),
            digest(embed("t" * 257)),
            "embeds.0.title BASE_TYPE_MAX_LENGTH",
        ),
        (
            digest(embed(description="d" * 4096)),
            digest(embed(description="d" * 4097)),
            "embeds.0.description BASE_TYPE_MAX_LENGTH",
        ),
        (
            digest(*FULL),
            digest(*FULL[:9], embed("t" * 256, "d" * 345)),
            "embeds MAX_EMBED_SIZE_EXCEEDED",
        ),
        (digest(embed(), content=""), digest(content=" "), " EMPTY_MESSAGE"),
        (
            digest(embed(url=f"https://a.example/{'u' * 2030}")),
            digest(embed(url=f"https://a.example/{'u' * 2031}")),
            "embeds.0.url BASE_TYPE_MAX_LENGTH",
        ),
        (
            digest(embed(url="http://a.example")),
            digest(embed(url="http://localhost")),
            "embeds.0.url URL_TYPE_INVALID_URL",
        ),
        (
            digest(Embed("Title", None, None, "2026-01-05T06:15:00+00:00")),
            digest(Embed("Title", None, None, "the day after tomorrow")),
            "embeds.0.timestamp DATE_TIME_TYPE_PARSE",
        ),
        (digest(embed("", "d")), digest(embed("", " ")), "embeds.0.description BASE_TYPE_REQUIRED"),
    ],
)
def test_the_webhook_draws_the_line_where_discord_does(
    just_within: Digest, just_beyond: Digest, code: str
) -> None:
    assert codes(just_within) == []
    assert codes(just_beyond) == [code]


@given(st.lists(st.integers(min_value=1, max_value=700), min_size=1, max_size=12))
def test_the_webhook_takes_just_what_fits(lengths: list[int]) -> None:
    built = digest(*(embed("t", "d" * length) for length in lengths))
    fits = len(lengths) <= 10 and sum(lengths) + len(lengths) <= 6000
    assert (codes(built) == []) is fits


def test_entries_keep_the_order_of_the_feed() -> None:
    built = build_digest(feed(*(entry(f"{number:03}") for number in range(20))), "2026-01-05")
    assert all(first.title < second.title for first, second in pairwise(built.embeds))
