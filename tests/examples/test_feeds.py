from dataclasses import asdict
from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.daily_digest.content import Entry, Feed, feeds, fetch_feed
from examples.daily_digest.servers import ENTRIES
from squid_mesh import RetryLater, StepError
from squid_mesh.tools.http import Http


async def entries_of(tool: Http, url: str) -> dict[str, Entry]:
    return {entry.title: entry for entry in (await fetch_feed(tool, url)).entries}


async def test_an_rss_feed_is_read(tool: Http, feeds: str) -> None:
    feed = await fetch_feed(tool, f"{feeds}/news.rss")

    assert (feed.title, feed.url, len(feed.entries)) == ("Harbour News", f"{feeds}/news.rss", 3)
    assert feed.entries[1] == Entry(
        id="harbour-news-4711",
        title="Old lighthouse gets a new lamp",
        link="https://news.example.org/2026/01/lighthouse-lamp",
        summary="It is half as bright and seen twice as far, says the keeper. More about her.",
        published="2026-01-04T17:00:00+00:00",
    )


async def test_an_atom_feed_is_read(tool: Http, feeds: str) -> None:
    feed = await fetch_feed(tool, f"{feeds}/blog.atom")

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


async def test_a_ragged_feed_is_read_as_far_as_it_goes(tool: Http, feeds: str) -> None:
    feed = await fetch_feed(tool, f"{feeds}/ragged.rss")
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


async def test_an_entry_without_guid_and_link_keeps_its_id(tool: Http, feeds: str) -> None:
    first, second = [await fetch_feed(tool, f"{feeds}/ragged.rss") for _ in range(2)]
    assert [entry.id for entry in first.entries] == [entry.id for entry in second.entries]


@pytest.mark.parametrize("name", ["latin1.rss", "mislabelled.rss"])
async def test_latin1_is_read_whatever_the_server_calls_it(
    tool: Http, feeds: str, name: str
) -> None:
    feed = await fetch_feed(tool, f"{feeds}/{name}")
    assert feed.title == "Café am Fjord"
    assert feed.entries[0].summary == "Smørrebrød hele døgnet, »à volonté«."


async def test_an_empty_feed_is_a_feed(tool: Http, feeds: str) -> None:
    url = f"{feeds}/empty.rss"
    assert await fetch_feed(tool, url) == Feed(title="Quiet Days", url=url, entries=())


async def test_a_long_feed_is_read_whole_and_in_order(tool: Http, feeds: str) -> None:
    feed = await fetch_feed(tool, f"{feeds}/many.rss")
    assert [entry.id for entry in feed.entries] == [f"tides-{n}" for n in range(1, ENTRIES + 1)]


async def test_redirects_are_followed(tool: Http, feeds: str) -> None:
    feed = await fetch_feed(tool, f"{feeds}/moved.rss")
    assert (feed.title, feed.url) == ("Harbour News", f"{feeds}/moved.rss")


@pytest.mark.parametrize(("name", "code"), [("broken.rss", "http"), ("slow.rss", "timeout")])
async def test_a_server_in_trouble_may_be_tried_again(
    impatient: Http, feeds: str, name: str, code: str
) -> None:
    with pytest.raises(StepError) as caught:
        await fetch_feed(impatient, f"{feeds}/{name}")
    assert (caught.value.code, caught.value.retryable) == (code, True)


async def test_a_busy_server_is_asked_again_when_it_says(tool: Http, feeds: str) -> None:
    with pytest.raises(RetryLater) as caught:
        await fetch_feed(tool, f"{feeds}/busy.rss")
    assert caught.value.after == timedelta(seconds=1)


async def test_nobody_at_the_address_may_be_tried_again(tool: Http) -> None:
    with pytest.raises(StepError, match="failed") as caught:
        await fetch_feed(tool, "http://127.0.0.1:1/feed.rss")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("name", "code", "problem"),
    [
        ("gone.rss", "http", "answered 404 Not Found"),
        ("huge.rss", "too_large", "answered with more than 5242880 bytes"),
        ("around.rss", "redirect", "was redirected more than 5 times"),
        ("nothing.rss", "feed_unusable", "the feed isn't one: what came back is empty"),
        ("page.html", "feed_unusable", "isn't one: what came back is text/html.* '<!doctype html>"),
    ],
)
async def test_what_is_no_feed_is_not_tried_again(
    tool: Http, feeds: str, name: str, code: str, problem: str
) -> None:
    with pytest.raises(StepError, match=problem) as caught:
        await fetch_feed(tool, f"{feeds}/{name}")
    assert (caught.value.code, caught.value.retryable) == (code, False)


@pytest.mark.parametrize("url", ["", "feed.rss", "ftp://127.0.0.1/feed.rss", "http://a\x00b/"])
async def test_what_is_no_url_is_not_tried_again(tool: Http, url: str) -> None:
    with pytest.raises(StepError, match="the URL ") as caught:
        await fetch_feed(tool, url)
    assert (caught.value.code, caught.value.retryable) == ("invalid_request", False)


async def test_a_feed_inside_of_ones_own_network_is_not_read(tool: Http) -> None:
    with pytest.raises(StepError, match="is no public address") as caught:
        await fetch_feed(tool, "http://169.254.169.254/latest/meta-data")
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
