"""A webhook that behaves like Discord's: it checks what it gets, and has bad days by script.

Lengths are counted in code points, as Discord's server counts them; what it says of a message that
it refuses has the shape of Discord's own answer.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any, Literal
from urllib.parse import urlsplit

from examples.loopback import Answer, Request, serving

type Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong at one place of a message, in Discord's words."""

    path: tuple[str, ...]
    code: str
    message: str


def _json(status: int, body: object, **headers: str) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"} | headers)


def _invalid_form(errors: Iterable[FieldError]) -> Answer:
    nested: dict[str, Any] = {}
    for error in errors:
        place = nested
        for name in error.path:
            place = place.setdefault(name, {})
        place.setdefault("_errors", []).append({"code": error.code, "message": error.message})
    return _json(400, {"message": "Invalid Form Body", "code": 50035, "errors": nested})


_UNKNOWN = _json(404, {"message": "Unknown Webhook", "code": 10015})
_UNAVAILABLE = Answer(503, b"<html>upstream connect error</html>", {"Content-Type": "text/html"})
_RATE_LIMITED = _json(
    429,
    {"message": "You are being rate limited.", "retry_after": 0.6, "global": False},
    **{"Retry-After": "1"},
)
_REJECTED = _invalid_form(
    [FieldError(("embeds", "0", "url"), "URL_TYPE_INVALID_URL", "Not a well formed URL.")]
)

# What each webhook does with one message after the other; the last answer stays.
_SCRIPTS: dict[str, tuple[Answer | Literal["check", "hang"], ...]] = {
    "/webhooks/ok": ("check",),
    "/webhooks/daily": ("check",),
    "/webhooks/flaky": (_UNAVAILABLE, _RATE_LIMITED, Answer(204)),
    "/webhooks/rejecting": (_REJECTED,),
    "/webhooks/hanging": ("hang",),
    "/webhooks/slow": ("hang", "check"),
}


@dataclass(frozen=True, slots=True)
class Post:
    """One message that came in, and the status it was answered with; None: not answered."""

    path: str
    message: Message
    status: int | None


@dataclass(slots=True)
class Webhook:
    """The webhooks of one Discord server; `posts` is what came in, oldest first."""

    posts: list[Post] = field(default_factory=list, init=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)
    _first: defaultdict[str, Future[Post]] = field(
        default_factory=lambda: defaultdict(Future), init=False, repr=False
    )

    def serving(self) -> AbstractContextManager[str]:
        """Take messages for the length of the block; yields the base URL."""
        return serving(self._respond)

    def posts_to(self, path: str) -> tuple[Post, ...]:
        """Return what came in at one webhook."""
        return tuple(post for post in self.posts if post.path == path)

    def first_post_to(self, path: str) -> Future[Post]:
        """What comes in first at one webhook: known as soon as it is there, before the answer."""
        with self._lock:
            return self._first[path]

    def _respond(self, request: Request) -> Answer | None:
        message = json.loads(request.body)
        with self._lock:
            answer = self._answer(request, message)
            post = Post(request.path, message, answer.status if answer else None)
            self.posts.append(post)
            if not self._first[request.path].done():
                self._first[request.path].set_result(post)
        return answer

    def _answer(self, request: Request, message: Message) -> Answer | None:
        script = _SCRIPTS.get(request.path)
        if script is None:
            return _UNKNOWN
        match script[min(len(self.posts_to(request.path)), len(script) - 1)]:
            case "hang":
                return None
            case "check":
                return self._checked(request, message)
            case answer:
                return answer

    def _checked(self, request: Request, message: Message) -> Answer:
        if errors := list(field_errors(message)):
            return _invalid_form(errors)
        if request.query.get("wait") != "true":
            return Answer(204)
        return _json(200, {"id": str(1_325_000_000_000_000_000 + len(self.posts))} | message)


def field_errors(message: Message) -> Iterator[FieldError]:
    """What Discord would refuse in `message`; nothing means that it would post it."""
    content, embeds = message.get("content", ""), message.get("embeds", [])
    if not content.strip() and not embeds:
        yield FieldError((), "EMPTY_MESSAGE", "Cannot send an empty message")
    yield from _too_long(content, 2000, "content")
    yield from _too_long(embeds, 10, "embeds")
    if sum(len(embed.get(name, "")) for embed in embeds for name in _COUNTED) > 6000:
        sentence = "Embed size exceeds maximum size of 6000"
        yield FieldError(("embeds",), "MAX_EMBED_SIZE_EXCEEDED", sentence)
    for number, embed in enumerate(embeds):
        yield from _embed_errors(embed, "embeds", str(number))


_COUNTED = ("title", "description")


def _embed_errors(embed: dict[str, Any], *path: str) -> Iterator[FieldError]:
    if not any(embed.get(name, "").strip() for name in _COUNTED):
        yield FieldError((*path, "description"), "BASE_TYPE_REQUIRED", "This field is required")
    yield from _too_long(embed.get("title", ""), 256, *path, "title")
    yield from _too_long(embed.get("description", ""), 4096, *path, "description")
    if "url" in embed:
        yield from _too_long(embed["url"], 2048, *path, "url")
        if not _is_well_formed(embed["url"]):
            yield FieldError((*path, "url"), "URL_TYPE_INVALID_URL", "Not a well formed URL.")
    if "timestamp" in embed and not _is_moment(embed["timestamp"]):
        sentence = "Could not parse it. Should be ISO8601."
        yield FieldError((*path, "timestamp"), "DATE_TIME_TYPE_PARSE", sentence)


def _too_long(value: str | list[Any], limit: int, *path: str) -> Iterator[FieldError]:
    if len(value) > limit:
        yield FieldError(path, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")


def _is_well_formed(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    is_public = "." in host.strip(".") and not any(char.isspace() for char in url)
    return parts.scheme in ("http", "https") and is_public


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
