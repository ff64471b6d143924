"""The HTTP adapter against a real server, also one that misbehaves."""

import asyncio
import gzip
import json
import logging
import zlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, SecretStr

from squid_mesh import InvalidConfig, RetryLater
from squid_mesh.tools import Kind, ToolError, invoke
from squid_mesh.tools.http import GuardedTransport, Http, Reach, Request, StatusError
from tests.conformance import conforms
from tests.tools.server import Answer, Server, head, serving

SECRET = "hush-hush-token"  # noqa: S105
INSIDE = ["127.0.0.1"]
GENEROUS = timedelta(seconds=20)


@pytest.fixture
async def server() -> AsyncGenerator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
async def http() -> AsyncGenerator[Http]:
    async with Http(internal=INSIDE, timeout=GENEROUS, max_bytes=1000) as http:
        yield http


async def failing(http: Http, request: Request) -> ToolError:
    """The error of a request, which has nothing behind it that could tell more."""
    with pytest.raises(ToolError) as caught:
        await http.invoke(request)
    error = caught.value
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    json.dumps(error.details)
    assert SECRET not in f"{error} {error!r} {error.details}"
    return error


# -- what is sent, and what comes back


@conforms("S187")
async def test_a_request_is_answered(http: Http, server: Server) -> None:
    server.answers("/orders", 201, b'{"id": 7}', Content_Type="application/json", X_Rate="9")
    request = Request(
        "post",
        f"{server.url}/orders?page=2",
        params={"dry": True, "n": 1, "q": "a b&c"},
        headers={"X-Trace": "t1"},
        json={"item": "lamp"},
    )
    result = await invoke(http, request)
    response = result.payload
    assert (response.status, response.json(), response.headers["x-rate"]) == (201, {"id": 7}, "9")
    shown = f"{server.url}/orders?page=•••&dry=•••&n=•••&q=•••"
    assert (result.adapter, result.metadata) == ("http", {"method": "POST", "url": shown})
    (received,) = server.received
    assert received.method == "POST"
    assert received.target == "/orders?page=2&dry=true&n=1&q=a+b%26c"
    assert (received.body, received.headers["content-type"]) == (
        b'{"item":"lamp"}',
        "application/json",
    )
    assert received.headers["x-trace"] == "t1"
    assert received.headers["host"] == server.url.removeprefix("http://")


async def test_bodies_are_sent_as_they_are(http: Http, server: Server) -> None:
    server.answers("/")
    for body in (b"\x00\xff", "tekst ø"):
        await http.invoke(Request("PUT", f"{server.url}/", body=body))
    await http.invoke(Request("GET", f"{server.url}/"))
    assert [one.body for one in server.received] == [b"\x00\xff", "tekst ø".encode(), b""]
    assert "content-length" not in server.received[-1].headers


async def test_secrets_are_sent(http: Http, server: Server) -> None:
    class Login(BaseModel):
        password: SecretStr

    server.answers("/a")
    secret = SecretStr(SECRET)
    url = server.url.replace("http://", f"http://me:{SECRET}@")
    await http.invoke(
        Request(
            "POST",
            SecretStr(f"{url}/a"),
            params={"key": secret},
            headers={"X-Key": secret},
            json={"one": secret, "two": Login(password=secret)},
        )
    )
    (received,) = server.received
    assert received.target == f"/a?key={SECRET}"
    assert received.headers["x-key"] == SECRET
    assert received.headers["authorization"].startswith("Basic ")
    assert json.loads(received.body) == {"one": SECRET, "two": {"password": SECRET}}


async def test_an_empty_answer_is_one(http: Http, server: Server) -> None:
    server.says("/", b"HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n")
    response = (await http.invoke(Request("DELETE", f"{server.url}/"))).payload
    assert (response.status, response.body, response.text) == (204, b"", "")
    with pytest.raises(ToolError, match="answered 204 with something that isn't JSON") as caught:
        response.json()
    assert (caught.value.kind, caught.value.retryable) == (Kind.INVALID_RESPONSE, False)


@conforms("S188")
@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain; charset=iso-8859-1", "Blåbærgrød".encode("latin1"), "Blåbærgrød"),
        ("text/plain", "Blåbærgrød".encode("latin1"), "Bl\ufffdb\ufffdrgr\ufffdd"),
        ("text/plain", "Blåbærgrød".encode(), "Blåbærgrød"),
        ("text/plain; charset=klingon", "Blåbærgrød".encode(), "Blåbærgrød"),
        ("text/plain; charset=base64", "Blåbærgrød".encode(), "Blåbærgrød"),
        ("text/plain; charset=utf-16", "Blåbærgrød".encode("utf-16"), "Blåbærgrød"),
    ],
)
async def test_text_is_read_in_its_own_encoding(
    http: Http, server: Server, content_type: str, body: bytes, text: str
) -> None:
    server.answers("/", 200, body, Content_Type=content_type)
    response = (await http.invoke(Request("GET", f"{server.url}/"))).payload
    assert response.text == text
    assert response.body == body


@pytest.mark.parametrize(
    ("content_type", "body", "value"),
    [
        ("application/json", b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ("application/json; charset=latin1", '"ø"'.encode("latin1"), "ø"),
        ("application/json", '"ø"'.encode("latin1"), None),
        ("text/html", b"<html>", None),
        ("application/json", b"[NaN]", None),
    ],
)
async def test_json_is_read_or_refused(
    http: Http, server: Server, content_type: str, body: bytes, value: Any
) -> None:
    server.answers("/", 200, body, Content_Type=content_type)
    response = (await http.invoke(Request("GET", f"{server.url}/"))).payload
    if value is not None:
        assert response.json() == value
    else:
        with pytest.raises(ToolError, match=content_type):
            response.json()


async def test_connections_are_kept_and_closed(server: Server) -> None:
    """Also when nobody reads the answer to its end."""
    server.answers("/", 200, b"x" * 2000)
    async with Http(internal=INSIDE, max_bytes=1000) as http:
        await failing(http, Request("GET", f"{server.url}/"))
    assert repr(http) == "Http(timeout=30 s, max_bytes=1000)"


# -- what is refused before anything is sent


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("GET", ""), "the URL must begin with http"),
        (Request("GET", "orders"), "the URL must begin with http"),
        (Request("GET", "ftp://host/hush-hush-token"), "the URL must begin with http"),
        (Request("GET", SecretStr(f"ftp://host/{SECRET}")), "the URL must begin with http"),
        (Request("GET", SecretStr(SECRET)), "the URL must begin with http"),
        (Request("GET", f"http://{SECRET}\x00/"), "the URL is none"),
        (Request("GET", "http://host:port/"), "the URL is none"),
        (Request("G T", "http://host/"), "the method is no word"),
        (Request("GET", "http://host/", headers={"a b": "c"}), "a header has no proper name"),
        (Request("GET", "http://host/", headers={"a": f"{SECRET}\n"}), "a header's value"),
        (Request("GET", "http://host/", headers={"a": f"{SECRET}ø"}), "a header's value"),
        (Request("POST", "http://host/", json=1, body="1"), "either json or a body"),
        (Request("POST", "http://host/", json={1, 2}), "can't be written as JSON"),
        (Request("GET", "http://host/", timeout=timedelta()), "the timeout must be positive"),
    ],
)
async def test_what_is_no_request_is_refused(request_: Request, message: str) -> None:
    async with Http() as http:
        with pytest.raises(ToolError, match=message) as caught:
            await http.invoke(request_)
    error = caught.value
    assert (error.kind, error.retryable) == (Kind.INVALID_REQUEST, False)
    assert error.details is not None
    assert set(error.details) == {"adapter", "request"}
    if not isinstance(request_.url, str) or "ftp" not in request_.url:
        assert SECRET not in f"{error} {error.details}"


async def test_something_else_than_a_request_is_refused() -> None:
    wrong: Any = {"method": "GET"}
    async with Http() as http:
        with pytest.raises(ToolError, match="tool requests must be of type Request"):
            await http.invoke(wrong)


def test_every_wrong_setting_is_told() -> None:
    with pytest.raises(InvalidConfig) as caught:
        Http(timeout=timedelta(), max_bytes=0, redirects=-1, longest_wait=timedelta(seconds=-1))
    assert len(caught.value.problems) == 4
    with pytest.raises(InvalidConfig) as caught:
        Http(internal=["10.0.0.0/8", "a b", "10.0.0.300", "billing.internal", "http://x/"])
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "internal='a",
        "internal='10.0.0.300'",
        "internal='http://x/'",
    ]


# -- statuses


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (404, False), (408, True), (425, True), (429, True), (500, True), (503, True)],
)
async def test_a_status_from_400_on_is_an_error(
    http: Http, server: Server, *, status: int, retryable: bool
) -> None:
    server.answers("/a", status, b"no\0pe", X_Id="i1", Set_Cookie="session=1")
    error = await failing(http, Request("GET", f"{server.url}/a"))
    assert isinstance(error, StatusError)
    assert str(error).startswith(f"GET {server.url}/a answered {status} ")
    assert (error.kind, error.code, error.retryable) == (Kind.HTTP, "http", retryable)
    assert error.details is not None
    assert (error.details["status"], error.details["body"]) == (status, "no␀pe")
    assert error.details["headers"]["x-id"] == "i1"
    assert "set-cookie" not in error.details["headers"]
    assert error.response.body == b"no\0pe"


async def test_a_status_that_nobody_knows_has_no_phrase(http: Http, server: Server) -> None:
    server.answers("/", 599)
    assert str(await failing(http, Request("GET", f"{server.url}/"))).endswith("answered 599")


@conforms("S188")
@pytest.mark.parametrize("status", [200, 299, 304, 399])
async def test_a_status_below_400_is_a_result(http: Http, server: Server, status: int) -> None:
    server.answers("/", status)
    assert (await http.invoke(Request("GET", f"{server.url}/"))).payload.status == status


MONDAY = datetime(2026, 1, 5, 9, tzinfo=UTC)


def at(seconds: float) -> str:
    """A moment as headers write it."""
    return format_datetime(MONDAY + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "3"}, 3),
        ({"Retry_After": "0.6"}, 0.6),
        ({"Retry_After": "0"}, 0),
        ({"Retry_After": "-5"}, 0),
        ({"Retry_After": "99999999999"}, 3600),
        ({"Retry_After": at(90), "Date": at(0)}, 90),
        ({"Retry_After": at(-90), "Date": at(0)}, 0),
        ({"Retry_After": "Mon, 05 Jan 2026 09:01:30 -0000", "Date": at(0)}, 90),
    ],
)
async def test_a_server_that_says_when_is_asked_again_then(
    http: Http, server: Server, status: int, headers: dict[str, str], seconds: float
) -> None:
    server.answers("/", status, b"", **headers)
    with pytest.raises(RetryLater) as caught:
        await http.invoke(Request("GET", f"{server.url}/"))
    assert caught.value.after == timedelta(seconds=seconds)
    assert f"asked to come back in {seconds:g} s" in str(caught.value)
    assert isinstance(caught.value.__cause__, StatusError)
    assert len(server.received) == 1, "it tries nothing again by itself"


async def test_without_its_clock_a_servers_moment_is_compared_to_ours(
    http: Http, server: Server
) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    server.answers("/", 429, Retry_After=later)
    with pytest.raises(RetryLater) as caught:
        await http.invoke(Request("GET", f"{server.url}/"))
    assert timedelta(seconds=60) < caught.value.after <= timedelta(seconds=100)


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "Mon, 99 Jan 2026 09:00:00 GMT"])
async def test_a_server_that_does_not_say_when_leaves_it_to_the_policy(
    http: Http, server: Server, text: str
) -> None:
    server.answers("/", 429, Retry_After=text)
    assert (await failing(http, Request("GET", f"{server.url}/"))).retryable


async def test_only_429_and_503_say_when(http: Http, server: Server) -> None:
    server.answers("/", 500, Retry_After="3")
    assert (await failing(http, Request("GET", f"{server.url}/"))).kind == Kind.HTTP


# -- time


async def hanging() -> Answer:
    await asyncio.Event().wait()
    yield b""


async def stopping() -> Answer:
    yield head(200, b"x" * 100) + b"x"
    await asyncio.Event().wait()


async def trickling() -> Answer:
    yield head(200)
    while True:
        yield b"x"
        await asyncio.sleep(0.01)


@conforms("S189")
@pytest.mark.parametrize("answer", [hanging, stopping, trickling])
async def test_the_timeout_is_for_all_of_it(server: Server, answer: Any) -> None:
    server.routes["/"] = answer
    async with Http(internal=INSIDE, timeout=timedelta(seconds=0.3)) as http:
        error = await failing(http, Request("GET", f"{server.url}/"))
    assert (error.kind, error.retryable) == (Kind.TIMEOUT, True)
    assert "took too long" in str(error)


async def test_a_request_may_have_a_timeout_of_its_own(http: Http, server: Server) -> None:
    server.routes["/"] = hanging
    request = Request("GET", f"{server.url}/", timeout=timedelta(seconds=0.1))
    assert (await failing(http, request)).kind == Kind.TIMEOUT


async def test_a_cancelled_request_is_cancelled(http: Http, server: Server) -> None:
    server.routes["/"] = hanging
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await http.invoke(Request("GET", f"{server.url}/"))


# -- transport


@conforms("S189")
async def test_nobody_at_the_address_may_be_tried_again(http: Http) -> None:
    error = await failing(http, Request("GET", f"http://127.0.0.1:1/?key={SECRET}"))
    assert (error.kind, error.retryable) == (Kind.TRANSPORT, True)
    assert str(error).startswith("GET http://127.0.0.1:1/?key=••• failed (ConnectError: ")


async def test_a_name_that_leads_nowhere_may_be_tried_again(http: Http) -> None:
    error = await failing(http, Request("GET", "http://nobody.invalid/"))
    assert (error.kind, error.retryable) == (Kind.TRANSPORT, True)


@pytest.mark.parametrize(
    "parts", [[], [b"220 smtp ready\r\n"], [head(200, b"12345"), b"123"], [b"HTTP/1.1 200 OK\r\n"]]
)
async def test_what_is_no_http_may_be_tried_again(
    http: Http, server: Server, parts: list[bytes]
) -> None:
    server.says("/", *parts)
    error = await failing(http, Request("GET", f"{server.url}/"))
    assert (error.kind, error.retryable) == (Kind.TRANSPORT, True)


# -- size and packing


@pytest.mark.parametrize("size", [0, 1000])
async def test_a_body_may_be_as_large_as_the_limit(http: Http, server: Server, size: int) -> None:
    for number, body in enumerate((b"x" * size, gzip.compress(b"x" * size, mtime=0))):
        packing = {"Content_Encoding": "gzip"} if number else {}
        server.answers("/", 200, body, **packing)
        response = (await http.invoke(Request("GET", f"{server.url}/"))).payload
        assert response.body == b"x" * size


async def endless() -> Answer:
    yield head(200)
    while True:
        yield b"x" * 500


async def endless_gzip() -> Answer:
    yield head(200, Content_Encoding="gzip")
    packer = zlib.compressobj(wbits=31)
    while True:
        yield packer.compress(b"\0" * 10**6) + packer.flush(zlib.Z_SYNC_FLUSH)


async def lying() -> Answer:
    yield head(200, Content_Length="1001")
    await asyncio.Event().wait()


@pytest.mark.parametrize("answer", [endless, endless_gzip, lying])
async def test_what_is_larger_is_not_read_to_its_end(
    http: Http, server: Server, answer: Any
) -> None:
    server.routes["/"] = answer
    error = await failing(http, Request("GET", f"{server.url}/"))
    assert (error.kind, error.retryable) == (Kind.TOO_LARGE, False)
    assert "answered with more than 1000 bytes" in str(error)
    if answer is not lying:
        async with asyncio.timeout(20):
            await server.closed.wait()  # the connection, so that nobody goes on sending


@pytest.mark.parametrize(
    ("packing", "body", "problem"),
    [
        ("gzip", b"<html>", "it isn't the gzip that it says it is"),
        ("gzip", gzip.compress(b"hello" * 50, mtime=0)[:-9], "its gzip ends in the middle"),
        ("gzip", gzip.compress(b"hello", mtime=0)[:-4] + b"1234", "it isn't the gzip"),
        ("gzip", gzip.compress(b"hello", mtime=0) + b"tail", "it isn't the gzip"),
        ("br", b"anything", "it is packed as br, which nobody asked for"),
        ("gzip, gzip", b"anything", "it is packed as gzip, gzip, which nobody asked for"),
    ],
)
async def test_what_is_packed_otherwise_than_it_says_is_refused(
    http: Http, server: Server, packing: str, body: bytes, problem: str
) -> None:
    server.answers("/", 200, body, Content_Encoding=packing)
    error = await failing(http, Request("GET", f"{server.url}/"))
    assert (error.kind, error.retryable) == (Kind.INVALID_RESPONSE, False)
    assert problem in str(error)


async def test_gzip_in_several_members_and_pieces_is_unpacked(http: Http, server: Server) -> None:
    packed = gzip.compress(b"hello ", mtime=0) + gzip.compress(b"world", mtime=0)
    server.says(
        "/", head(200, packed, Content_Encoding="x-gzip"), *(bytes([byte]) for byte in packed)
    )
    assert (await http.invoke(Request("GET", f"{server.url}/"))).payload.text == "hello world"
    assert server.received[0].headers["accept-encoding"] == "gzip"


# -- redirects


@pytest.fixture
async def following() -> AsyncGenerator[Http]:
    async with Http(internal=INSIDE, timeout=GENEROUS, redirects=2) as http:
        yield http


async def test_a_redirect_is_the_result_unless_it_may_be_followed(
    http: Http, following: Http, server: Server
) -> None:
    server.answers("/old", 301, Location="/new?a=1")
    server.answers("/new", 200, b"here")
    request = Request("GET", f"{server.url}/old")
    assert (await http.invoke(request)).payload.status == 301
    response = (await following.invoke(request)).payload
    assert (response.status, response.text) == (200, "here")
    assert response.url == f"{server.url}/new?a=•••"


@pytest.mark.parametrize(
    ("status", "method", "becomes", "body"),
    [
        (301, "POST", "GET", b""),
        (302, "POST", "GET", b""),
        (303, "PUT", "GET", b""),
        (307, "POST", "POST", b"hello"),
        (308, "PUT", "PUT", b"hello"),
        (302, "HEAD", "HEAD", b""),
    ],
)
async def test_what_a_redirect_makes_of_a_request(
    following: Http, server: Server, status: int, method: str, becomes: str, body: bytes
) -> None:
    server.answers("/old", status, Location="/new")
    server.answers("/new", 204)
    sent = None if method == "HEAD" else "hello"
    headers = {"Content-Type": "text/x", "Authorization": f"Bearer {SECRET}"}
    await following.invoke(Request(method, f"{server.url}/old", body=sent, headers=headers))
    received = server.received[-1]
    assert (received.target, received.method, received.body) == ("/new", becomes, body)
    assert ("content-type" in received.headers) == (becomes == method)
    assert received.headers["authorization"] == f"Bearer {SECRET}", "it is the same server"


async def test_secrets_stay_with_the_server_they_are_for(following: Http, server: Server) -> None:
    async with serving() as other:
        server.answers("/old", 302, Location=f"{other.url}/new")
        other.answers("/new", 200)
        headers: dict[str, str | SecretStr] = {
            "Authorization": f"Bearer {SECRET}",
            "Cookie": f"session={SECRET}",
            "X-Own": SecretStr(SECRET),
            "X-Trace": "t1",
        }
        await following.invoke(Request("GET", f"{server.url}/old", headers=headers))
        (received,) = other.received
    assert SECRET not in str(received)
    assert received.headers["x-trace"] == "t1"
    assert received.headers["host"] == other.url.removeprefix("http://")


async def test_a_body_stays_with_the_server_it_is_for(following: Http, server: Server) -> None:
    async with serving() as other:
        server.answers("/old", 307, Location=f"{other.url}/new")
        error = await failing(following, Request("POST", f"{server.url}/old", json=SECRET))
        assert other.received == []
    assert (error.kind, error.retryable) == (Kind.REDIRECT, False)
    assert str(error).endswith("was redirected to another server with its body")


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("/around", "was redirected more than 2 times"),
        ("ftp://127.0.0.1/", "was redirected to something that isn't HTTP"),
        ("file:///etc/passwd", "was redirected to something that isn't HTTP"),
        ("http://a\x7fb/", "was redirected to something that is no URL"),
    ],
)
async def test_a_redirect_that_leads_nowhere_is_refused(
    following: Http, server: Server, location: str, problem: str
) -> None:
    server.answers("/around", 302, Location=location)
    error = await failing(following, Request("GET", f"{server.url}/around"))
    assert (error.kind, error.retryable) == (Kind.REDIRECT, False)
    assert problem in str(error)


async def test_a_redirect_from_https_to_http_is_refused() -> None:
    moved = httpx.MockTransport(lambda _: httpx.Response(302, headers={"location": "http://a/"}))
    async with Http(transport=moved, redirects=1) as http:
        error = await failing(http, Request("GET", "https://a/"))
    assert "was redirected from https to http" in str(error)


# -- addresses


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",  # noqa: S104  # an address to reach, not to listen on
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "[fe80::1]",
        "[fd00::1]",
        "224.0.0.1",
    ],
)
async def test_private_addresses_are_refused(server: Server, host: str) -> None:
    port = server.url.rpartition(":")[2]
    async with Http(timeout=GENEROUS) as http:
        error = await failing(http, Request("GET", f"http://{host}:{port}/"))
    assert (error.kind, error.retryable) == (Kind.FORBIDDEN_ADDRESS, False)
    assert "is no public address" in str(error)
    assert server.received == []


@pytest.mark.parametrize("internal", ["127.0.0.0/8", "localhost", "LOCALHOST."])
async def test_what_a_host_has_named_may_be_reached(server: Server, internal: str) -> None:
    server.answers("/")
    port = server.url.rpartition(":")[2]
    async with Http(internal=[internal, "::1"]) as http:
        assert (
            await http.invoke(Request("GET", f"http://localhost:{port}/"))
        ).payload.status == 200


def name_service(
    monkeypatch: pytest.MonkeyPatch, server: Server, *answers: list[str]
) -> tuple[list[str], Request]:
    """Let names lead to these addresses, one answer after the other; who asked, and a request."""
    asked: list[str] = []
    port = int(server.url.rpartition(":")[2])

    async def answer(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [(2, 1, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answer)
    return asked, Request("GET", f"http://some.example:{port}/")


async def test_a_host_of_several_addresses_is_tried_at_each_that_may_be_reached(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers("/")
    nobody_listens = "127.0.0.3"
    _, request = name_service(monkeypatch, server, ["10.0.0.1", nobody_listens, "127.0.0.1"])
    async with Http(internal=["127.0.0.1", nobody_listens]) as http:
        assert (await http.invoke(request)).payload.status == 200


async def test_a_redirect_to_a_private_address_is_refused(server: Server) -> None:
    async with serving("127.0.0.2") as inside:
        inside.answers("/secrets", 200, b"all of them")
        server.answers("/feed", 302, Location=f"{inside.url}/secrets")
        async with Http(internal=["127.0.0.1"], redirects=3) as http:
            error = await failing(http, Request("GET", f"{server.url}/feed"))
        assert inside.received == []
    assert (error.kind, error.retryable) == (Kind.FORBIDDEN_ADDRESS, False)
    assert "127.0.0.2 is no public address" in str(error)


async def test_a_name_that_changes_its_mind_leads_nowhere_else(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that was checked is the one that is connected to: it isn't looked up twice."""
    asked, request = name_service(monkeypatch, server, ["127.0.0.1"], ["127.0.0.2"])
    server.answers("/")
    async with Http(internal=["127.0.0.1"]) as http:
        await http.invoke(request)
        assert asked.count("some.example") == 1
        assert server.received[0].headers["host"].startswith("some.example:")
        assert (await failing(http, request)).kind == Kind.FORBIDDEN_ADDRESS


async def test_the_transport_serves_a_client_of_httpx_too(server: Server) -> None:
    server.answers("/", 200, b"hello")
    async with httpx.AsyncClient(transport=GuardedTransport(Reach.of(INSIDE))) as client:
        assert (await client.get(f"{server.url}/")).text == "hello"
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1/")


# -- what is told


async def test_no_secret_is_told_in_errors_repr_and_logs(
    http: Http, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Of httpcore only at its level DEBUG, where it tells the headers of answers."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "squid_mesh")
    echo = f"you sent {SECRET}, {SECRET}".encode()
    server.answers(f"/hooks/{SECRET}", 400, echo, X_Echo=f"key {SECRET}")
    url = f"{server.url}/hooks/{SECRET}".replace("http://", f"http://me:{SECRET}@")
    requests = [
        Request("POST", SecretStr(url)),
        Request(
            "POST",
            SecretStr(url),
            params={"key": SECRET},
            headers={"Authorization": f"Bearer {SECRET}", "X-Own": SecretStr(SECRET)},
            json={"key": SecretStr(SECRET)},
        ),
    ]
    for request in requests:
        error = await failing(http, request)
        assert error.details is not None
        assert error.details["body"] == "you sent •••, •••"
        assert error.details["headers"]["x-echo"] == "key •••"
        assert error.details["url"] == f"{server.url}/•••"
        assert SECRET not in repr(request)
    assert SECRET not in caplog.text
    assert f"POST {server.url}/••• answered 400, " in caplog.text


def test_a_request_shows_its_url_without_secrets() -> None:
    request = Request("GET", f"https://me:{SECRET}@api.example.com/v1?key={SECRET}&key=2")
    assert repr(request) == "Request('GET', 'https://api.example.com/v1?key=•••')"
    assert repr(Request("GET", SecretStr(f"https://a.b/{SECRET}"))) == (
        "Request('GET', 'https://a.b/•••')"
    )
    assert repr(Request("GET", f"http://{SECRET}\x00")) == "Request('GET', '•••')"
