from dataclasses import asdict
from datetime import timedelta

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.daily_digest.content import Entry, Feed, feeds, fetch_feed
from examples.daily_digest.servers import ENTRIES
from squid_mesh import StepError


async def entries_of(http: httpx.AsyncClient, url: str) -> dict[str, Entry]:
    return {entry.title: entry for entry in (await fetch_feed(http, url)).entries}


async def test_an_rss_feed_is_read(http: httpx.AsyncClient, feeds: str) -> None:
    feed = await fetch_feed(http, f"{feeds}/news.rss")

    assert (feed.title, feed.url, len(feed.entries)) == ("Harbour News", f"{feeds}/news.rss", 3)
    assert feed.entries[1] == Entry(
        id="harbour-news-4711",
        title="Old lighthouse gets a new lamp",
        link="https://news.example.org/2026/01/lighthouse-lamp",
        summary="It is half as bright and seen twice as far, says the keeper. More about her.",
        published="2026-01-04T17:00:00+00:00",
    )


async def test_an_atom_feed_is_read(http: httpx.AsyncClient, feeds: str) -> None:
    feed = await fetch_feed(http, f"{feeds}/blog.atom")

    assert feed.title == "Notes on <small> machines"
    assert feed.entries == (
        Entry(
            id="tag:notes.example.net,2026:backup-at-three",
            title="Why my backup runs at three",
            link="https://notes.example.net/2026/backup-at-three",
            summary="Because at two the clock may stand still, and at four the bakers wake.",
            published="2026-01-04T21:07:33+00:00",
        ),
        Entry(
            id="tag:notes.example.net,2025:ampersand",
            title="Writing &amp; in XML",
            link="https://notes.example.net/2025/ampersand",
            summary="Twice escaped, once meant.",
            published="2025-12-30T08:00:00+00:00",
        ),
    )


async def test_a_ragged_feed_is_read_as_far_as_it_goes(http: httpx.AsyncClient, feeds: str) -> None:
    feed = await fetch_feed(http, f"{feeds}/ragged.rss")
    bold, cdata, bare, untitled, pinging = feed.entries

    assert feed.title == "The Ragged Edge 🦑"
    assert bold == Entry(
        id="edge-1",
        title="Bold claims & fine print",
        link=f"{feeds}/relative/link",
        summary="first second",
        published=None,
    )
    assert (cdata.title, cdata.id) == ("CDATA & markup é", "https://edge.example.com/no-guid")
    assert bare.title == "Neither link nor guid: 𝔸𝕓𝕔 👩‍👩‍👧‍👦 🇩🇰 e\u0301"
    assert (bare.link, len(bare.id), bare.published) == ("", 64, "2026-01-02T15:00:00+00:00")
    assert bare.summary == "Beyond the BMP: 𐍈 𝄞 🧑🏽‍🚀"
    assert untitled.title == ""
    assert pinging.title == "Hello @everyone, if a < b then @here"


async def test_an_entry_without_guid_and_link_keeps_its_id(
    http: httpx.AsyncClient, feeds: str
) -> None:
    first, second = [await fetch_feed(http, f"{feeds}/ragged.rss") for _ in range(2)]
    assert [entry.id for entry in first.entries] == [entry.id for entry in second.entries]


@pytest.mark.parametrize("name", ["latin1.rss", "mislabelled.rss"])
async def test_latin1_is_read_whatever_the_server_calls_it(
    http: httpx.AsyncClient, feeds: str, name: str
) -> None:
    feed = await fetch_feed(http, f"{feeds}/{name}")
    assert feed.title == "Café am Fjord"
    assert feed.entries[0].summary == "Smørrebrød hele døgnet, »à volonté«."


async def test_an_empty_feed_is_a_feed(http: httpx.AsyncClient, feeds: str) -> None:
    url = f"{feeds}/empty.rss"
    assert await fetch_feed(http, url) == Feed(title="Quiet Days", url=url, entries=())


async def test_a_long_feed_is_read_whole_and_in_order(http: httpx.AsyncClient, feeds: str) -> None:
    feed = await fetch_feed(http, f"{feeds}/many.rss")
    assert [entry.id for entry in feed.entries] == [f"tides-{n}" for n in range(1, ENTRIES + 1)]


async def test_redirects_are_followed(http: httpx.AsyncClient, feeds: str) -> None:
    feed = await fetch_feed(http, f"{feeds}/moved.rss")
    assert (feed.title, feed.url) == ("Harbour News", f"{feeds}/moved.rss")


@pytest.mark.parametrize("name", ["broken.rss", "busy.rss", "slow.rss"])
async def test_a_server_in_trouble_may_be_tried_again(
    http: httpx.AsyncClient, feeds: str, name: str
) -> None:
    with pytest.raises(StepError) as caught:
        await fetch_feed(http, f"{feeds}/{name}")
    assert caught.value.retryable
    assert caught.value.code == "feed_unavailable"
    assert caught.value.details == {"feed_url": f"{feeds}/{name}"}


async def test_nobody_at_the_address_may_be_tried_again(http: httpx.AsyncClient) -> None:
    with pytest.raises(StepError, match="can't be reached") as caught:
        await fetch_feed(http, "http://127.0.0.1:1/feed.rss")
    assert caught.value.retryable


async def test_the_whole_fetch_has_a_deadline(feeds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("examples.daily_digest.content.feeds.DEADLINE", timedelta(seconds=0.1))
    async with httpx.AsyncClient(timeout=None) as patient:  # noqa: S113 (that is the test)
        with pytest.raises(StepError, match=r"can't be reached \(TimeoutError\)") as caught:
            await fetch_feed(patient, f"{feeds}/slow.rss")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gone.rss", "the feed answered 404 Not Found"),
        ("huge.rss", "the feed is larger than 5242880 bytes"),
        ("around.rss", r"the feed isn't at that URL \(TooManyRedirects\)"),
        ("nothing.rss", "the feed isn't one: what came back is empty"),
        ("page.html", "the feed isn't one: what came back is text/html.* '<!doctype html> .*…'"),
    ],
)
async def test_what_is_no_feed_is_not_tried_again(
    http: httpx.AsyncClient, feeds: str, name: str, problem: str
) -> None:
    with pytest.raises(StepError, match=f"^{problem}$") as caught:
        await fetch_feed(http, f"{feeds}/{name}")
    assert not caught.value.retryable
    assert caught.value.code == "feed_unusable"


@pytest.mark.parametrize("url", ["", "feed.rss", "ftp://127.0.0.1/feed.rss", "http://a\x00b/"])
async def test_what_is_no_url_is_not_tried_again(http: httpx.AsyncClient, url: str) -> None:
    with pytest.raises(StepError, match="isn't at that URL") as caught:
        await fetch_feed(http, url)
    assert not caught.value.retryable


def rss(item: str) -> feeds.Page:
    text = f'<rss version="2.0"><channel><title>t</title><item>{item}</item></channel></rss>'
    return feeds.Page(text.encode(), "application/rss+xml", "http://feeds.example.org/a/feed.rss")


@pytest.mark.parametrize(
    ("item", "field", "value"),
    [
        ("<title>&#xD83E;&#xDD91; squid</title>", "title", "\ufffd\ufffd squid"),
        ("<title>&#99999999999; big</title>", "title", "\ufffd big"),
        ("<title>&#x1F991; squid</title>", "title", "🦑 squid"),
        ("<title>cut &amp;nbsp; short</title>", "title", "cut short"),
        (f"<description>{'word ' * 200}</description>", "summary", f"{'word ' * 99}word…"),
        ("<link>../b</link>", "link", "http://feeds.example.org/b"),
        ("<link/>", "link", ""),
        ("<pubDate>Sat, 31 Dec 2016 23:59:60 GMT</pubDate>", "published", None),
        ("<pubDate>Fri, 31 Dec 9999 23:59:59 -1200</pubDate>", "published", None),
        ("<pubDate>2026-01-05</pubDate>", "published", "2026-01-05T00:00:00+00:00"),
    ],
)
def test_one_field_is_read(item: str, field: str, value: str | None) -> None:
    (entry,) = feeds.read_feed(rss(item), "http://feeds.example.org/").entries
    assert getattr(entry, field) == value


@given(st.text(st.characters(exclude_categories=()), max_size=200), st.binary(max_size=20))
def test_whatever_is_in_a_feed_it_can_be_stored_or_is_refused(text: str, tail: bytes) -> None:
    page = rss(f"<title>{text}".encode(errors="replace").decode())
    broken = feeds.Page(page.body + tail, page.content_type, page.url)
    try:
        feed = feeds.read_feed(broken, "http://feeds.example.org/")
    except StepError as error:
        assert not error.retryable  # noqa: PT017 (being read is as good)
    else:
        orjson.dumps(asdict(feed))
