"""Where a redirect leads, and what of a request may go there."""

from __future__ import annotations

from collections.abc import Collection

import httpx

_REDIRECTS = {301, 302, 303, 307, 308}
_KEEP_METHOD = {307, 308}
_OF_A_BODY = {"content-length", "content-type", "content-encoding", "transfer-encoding"}
_OF_A_SERVER = {"authorization", "cookie", "proxy-authorization", "host"}


class Misled(Exception):
    """A redirect that isn't followed; the text says why."""


def redirected(
    request: httpx.Request, answer: httpx.Response, secret_headers: Collection[str]
) -> httpx.Request | None:
    """The request that an answer asks for instead, None when it is no redirect.

    Secret headers stay with the server that they were meant for, and so does a body. Raises
    `Misled`.
    """
    location = answer.headers.get("location")
    if answer.status_code not in _REDIRECTS or location is None:
        return None
    url = _target(request.url, location)
    keeps_method = answer.status_code in _KEEP_METHOD or request.method in {"GET", "HEAD"}
    leaves = not _is_same_server(request.url, url)
    dropped = {"host"} if keeps_method else {"host"} | _OF_A_BODY
    if leaves:
        dropped |= _OF_A_SERVER | set(secret_headers)
    content = request.content if keeps_method else b""
    if leaves and content:
        raise Misled("redirected to another server with its body")
    headers = [(name, value) for name, value in request.headers.items() if name not in dropped]
    method = request.method if keeps_method else "GET"
    return httpx.Request(method, url, headers=headers, content=content or None)


def _target(url: httpx.URL, location: str) -> httpx.URL:
    try:
        target = url.join(location).copy_with(userinfo=b"", fragment=None)
    except (httpx.InvalidURL, UnicodeError):
        raise Misled("redirected to something that is no URL") from None
    if target.scheme not in {"http", "https"} or not target.host:
        raise Misled("redirected to something that isn't HTTP")
    if url.scheme == "https" and target.scheme == "http":
        raise Misled("redirected from https to http")
    return target


def _is_same_server(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
