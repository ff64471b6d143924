"""What a step asks for, checked, and what may be told of it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from typing import Any, override
from urllib.parse import unquote

import httpx
import orjson
from pydantic import BaseModel, SecretStr

from squid_mesh.tools.boundary import Kind, ToolError
from squid_mesh.tools.secrets import MASK, Secrets

NAME = "http"
"""The adapter, in results and errors."""

type Text = str | SecretStr
type Scalar = Text | int | float | bool

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_A_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SENSITIVE = {"authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"}
_DEFAULTS = {"accept": "*/*", "accept-encoding": "gzip", "user-agent": "squid-mesh"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request. It has at most one of `json` and `body`; `timeout` is instead of the adapter's.

    Whatever is a `SecretStr`, in headers, parameters and JSON, is sent, and shown to nobody. A URL
    that is one is shown without its path. Of any URL the user and the values of the query are
    hidden, and so are headers like Authorization.
    """

    method: str
    url: Text
    _: KW_ONLY
    params: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    headers: Mapping[str, Text] = field(default_factory=dict[str, Text])
    json: Any = None
    body: bytes | str | None = None
    timeout: timedelta | None = None

    @override
    def __repr__(self) -> str:
        return f"Request({self.method!r}, {shown_url(self.url)!r})"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that can be sent. As text it is its method and URL, as people may read them."""

    request: httpx.Request = field(repr=False)
    url: str
    hides_path: bool
    secret_headers: frozenset[str]
    secrets: Secrets = field(repr=False)

    @override
    def __str__(self) -> str:
        return f"{self.request.method} {self.url}"

    @property
    def facts(self) -> dict[str, Any]:
        """What it was, in details."""
        return {"method": self.request.method, "url": self.url}

    def show(self, url: httpx.URL) -> str:
        """Another URL that this one has led to."""
        return shown_url(SecretStr(str(url)) if self.hides_path else url)


def prepare(request: Request) -> Prepared:
    """Check a request and make it ready. Raises `ToolError` of the kind `invalid_request`."""
    if not isinstance(request, Request):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _invalid("tool requests must be of type Request", type(request).__name__)
    url = _url(request)
    secrets = _secrets_of(request, url)
    headers = _headers(request, url)
    content = _content(request, headers, secrets)
    if request.timeout is not None and request.timeout <= timedelta():
        raise _invalid("the timeout must be positive", repr(request))
    hides_path = isinstance(request.url, SecretStr)
    return Prepared(
        request=httpx.Request(
            request.method.upper(), url.copy_with(userinfo=b""), headers=headers, content=content
        ),
        url=shown_url(SecretStr(str(url)) if hides_path else url),
        hides_path=hides_path,
        secret_headers=frozenset(_secret_headers(request)),
        secrets=secrets,
    )


def shown_url(url: Text | httpx.URL) -> str:
    """A URL for people: without user, without the query's values, and a secret one without path."""
    try:
        parsed = httpx.URL(revealed(url)) if isinstance(url, str | SecretStr) else url
    except httpx.InvalidURL:
        return MASK
    if not parsed.host:
        return MASK
    origin = f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"
    if isinstance(url, SecretStr):
        return f"{origin}/{MASK}"
    query = "&".join(f"{name}={MASK}" for name in dict.fromkeys(parsed.params.keys()))
    return f"{origin}{parsed.path}" + (f"?{query}" if query else "")


def revealed(value: Scalar) -> str:
    """A value as it is sent."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _url(request: Request) -> httpx.URL:
    if not _TOKEN.fullmatch(str(request.method)):
        raise _invalid("the method is no word, such as GET", repr(request.method))
    try:
        url = httpx.URL(revealed(request.url))
        if request.params:
            url = url.copy_merge_params({k: revealed(v) for k, v in request.params.items()})
    except (httpx.InvalidURL, UnicodeError):
        raise _invalid("the URL is none", MASK) from None
    if url.scheme not in {"http", "https"} or not url.host:
        shown = MASK if isinstance(request.url, SecretStr) else shown_url(url)
        raise _invalid("the URL must begin with http:// or https:// and a host", shown)
    return url


def _headers(request: Request, url: httpx.URL) -> dict[str, str]:
    headers = dict(_DEFAULTS)
    if url.userinfo:
        user = unquote(url.userinfo.decode("ascii"))
        headers["authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    for name, value in request.headers.items():
        if not _TOKEN.fullmatch(name):
            raise _invalid("a header has no proper name", repr(name))
        text = revealed(value)
        if _NOT_IN_A_VALUE.search(text) or not text.isascii():
            raise _invalid("a header's value is no plain text", f"the value of {name}")
        headers[name.lower()] = text
    return headers


def _content(request: Request, headers: dict[str, str], secrets: Secrets) -> bytes | None:
    if request.json is None:
        return request.body.encode() if isinstance(request.body, str) else request.body
    if request.body is not None:
        raise _invalid("a request has either json or a body", repr(request))

    def plain(value: object) -> object:
        if isinstance(value, SecretStr):
            secrets.add(value.get_secret_value())
            return value.get_secret_value()
        if isinstance(value, BaseModel):
            return dict(value)
        raise TypeError

    headers.setdefault("content-type", "application/json")
    try:
        return orjson.dumps(request.json, default=plain)
    except (TypeError, ValueError) as error:
        raise _invalid("json can't be written as JSON", secrets.mask(str(error))) from None


def _secrets_of(request: Request, url: httpx.URL) -> Secrets:
    """What of a request must not be met again in what is told of it."""
    secrets = Secrets()
    for value in _secret_headers(request).values():
        secrets.add(value)
        secrets.add(value.partition(" ")[2])  # of "Bearer …"
    for _, value in url.params.multi_items():
        secrets.add(value)
    if url.userinfo:
        secrets.add(url.password)
        secrets.add(base64.b64encode(unquote(url.userinfo.decode("ascii")).encode()).decode())
    if isinstance(request.url, SecretStr):
        secrets.add(str(url))
        secrets.add(url.raw_path.decode("ascii"))
        for segment in url.path.split("/"):
            secrets.add(segment)
    return secrets


def _secret_headers(request: Request) -> dict[str, str]:
    return {
        name.lower(): revealed(value)
        for name, value in request.headers.items()
        if isinstance(value, SecretStr) or name.lower() in _SENSITIVE
    }


def _invalid(message: str, request: str) -> ToolError:
    return ToolError(NAME, Kind.INVALID_REQUEST, message, details={"request": request})
