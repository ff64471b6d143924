"""The adapter: sends one request, follows redirects if allowed, and judges the answer."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Self, override

import httpx

from squid_mesh.errors import InvalidConfig, RetryLater
from squid_mesh.tools.boundary import Context, Kind, Result, ToolError
from squid_mesh.tools.http.addresses import ForbiddenAddress, Reach
from squid_mesh.tools.http.later import retry_after
from squid_mesh.tools.http.reading import BadEncoding, TooLarge, read
from squid_mesh.tools.http.redirects import Misled, redirected
from squid_mesh.tools.http.request import NAME, Prepared, Request, prepare
from squid_mesh.tools.http.response import Response
from squid_mesh.tools.http.transport import GuardedTransport

logger = logging.getLogger(__name__)

SHOWN_BODY = 2000
"""Characters of a body that an error's details hold."""

_FIRST_ERROR, _FIRST_SERVER_ERROR = 400, 500
_WORTH_ANOTHER_TRY = {408, 425, 429}
_SAYS_WHEN = {429, 503}
_UNTOLD = {"set-cookie", "set-cookie2"}
_PHASES = ("connect", "read", "write", "pool")


@dataclass(frozen=True, slots=True)
class _Limits:
    timeout: float
    max_bytes: int
    redirects: int
    longest_wait: timedelta

    def check(self) -> None:
        rules = {
            "timeout must be positive": self.timeout > 0,
            "max_bytes must be positive": self.max_bytes > 0,
            "redirects must not be negative": self.redirects >= 0,
            "longest_wait must not be negative": self.longest_wait >= timedelta(),
        }
        if problems := [problem for problem, holds in rules.items() if not holds]:
            raise InvalidConfig(problems)


class Http:
    """HTTP requests, one at a time or many at once; share one among all steps of a process.

    * `timeout`: for all of a request, from its connection to the last byte of the answer's body.
    * `max_bytes`: of an answer's body, unpacked; a larger one is refused, not cut.
    * `redirects`: how many are followed. None unless said: a redirect is then the result.
    * `internal`: names and networks, "billing.internal" or "10.1.0.0/16", that may be reached
      although they are private. A name may lead to any address.
    * `longest_wait`: how long a server's Retry-After may put a step off.
    * `ssl_context`: for certificates of one's own.
    * `transport`: how to send, instead of all that; it then says itself what may be reached.

    Raises `InvalidConfig`. It tries nothing again: that is the step's retry policy. Proxies in the
    environment aren't used, as they would connect to what was never checked.
    """

    name = NAME

    def __init__(
        self,
        *,
        timeout: timedelta = timedelta(seconds=30),
        max_bytes: int = 2**20,
        redirects: int = 0,
        internal: Iterable[str] = (),
        longest_wait: timedelta = timedelta(hours=1),
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._limits = _Limits(timeout.total_seconds(), max_bytes, redirects, longest_wait)
        self._limits.check()
        reach = Reach.of(internal)
        self._transport = transport or GuardedTransport(reach, ssl_context=ssl_context)

    @override
    def __repr__(self) -> str:
        limits = self._limits
        return f"Http(timeout={limits.timeout:g} s, max_bytes={limits.max_bytes})"

    async def __aenter__(self) -> Self:
        """Nothing: connections are made when they are needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def invoke(self, request: Request, context: Context | None = None) -> Result[Response]:
        """Send a request; the result is an answer with a status from 200 to 399, read whole.

        Raises `ToolError`. Its `kind` says what went wrong:

        * `invalid_request`; `forbidden_address`; `redirect` (too many, or to where none may lead);
          `too_large`; `invalid_response` (packed otherwise than it says): not retryable;
        * `timeout` and `transport`: retryable;
        * `http`, which is a `StatusError`: any other status, retryable from 500 on and for 408,
          425 and 429.

        Raises `RetryLater` for 429 and 503 that say when to come back, from such a `StatusError`.
        """
        del context  # HTTP has no use for it
        prepared = prepare(request)
        timeout = request.timeout.total_seconds() if request.timeout else self._limits.timeout
        with _told(prepared, self._limits):
            async with asyncio.timeout(timeout):
                response = await self._send(prepared, timeout)
        logger.debug("%s answered %d, %d bytes", prepared, response.status, len(response.body))
        if response.status < _FIRST_ERROR:
            return Result(NAME, response, prepared.facts)
        raise self._failure(prepared, response)

    async def _send(self, prepared: Prepared, timeout: float) -> Response:
        """The answer, behind as many redirects as may be followed."""
        request = prepared.request
        for _ in range(self._limits.redirects + 1):
            request.extensions["timeout"] = dict.fromkeys(_PHASES, timeout)
            answer = await self._transport.handle_async_request(request)
            try:
                following = self._following(prepared, request, answer)
                if following is None:
                    body = await read(answer, self._limits.max_bytes)
                    headers = {name.lower(): value for name, value in answer.headers.items()}
                    return Response(answer.status_code, headers, body, prepared.show(request.url))
            finally:
                await answer.aclose()
            request = following
        raise Misled(f"redirected more than {self._limits.redirects} times")

    def _following(
        self, prepared: Prepared, request: httpx.Request, answer: httpx.Response
    ) -> httpx.Request | None:
        if not self._limits.redirects:
            return None
        return redirected(request, answer, prepared.secret_headers)

    def _failure(self, prepared: Prepared, response: Response) -> Exception:
        error = StatusError(prepared, response)
        if response.status not in _SAYS_WHEN:
            return error
        now = datetime.now(UTC)
        after = retry_after(response.headers, now, self._limits.longest_wait)
        if after is None:
            return error
        later = RetryLater(after, f"{error}: asked to come back in {after.total_seconds():g} s")
        later.__cause__ = error
        return later


class StatusError(ToolError):
    """An answer that says that it went wrong. `response` is all of it; `details` its beginning."""

    def __init__(self, prepared: Prepared, response: Response) -> None:
        self.response = response
        try:
            phrase = f" {HTTPStatus(response.status).phrase}"
        except ValueError:
            phrase = ""
        mask = prepared.secrets.mask
        shown = {n: mask(v) for n, v in response.headers.items() if n not in _UNTOLD}
        body = mask(response.text)[:SHOWN_BODY].replace("\0", "\N{SYMBOL FOR NULL}")
        super().__init__(
            NAME,
            Kind.HTTP,
            f"{prepared} answered {response.status}{phrase}",
            details={
                **prepared.facts,
                "status": response.status,
                "headers": shown,
                "body": body,
            },
            retryable=response.status >= _FIRST_SERVER_ERROR
            or response.status in _WORTH_ANOTHER_TRY,
        )


@contextmanager
def _told(prepared: Prepared, limits: _Limits) -> Generator[None]:
    """Whatever keeps an answer from coming, as a `ToolError` without secrets."""
    try:
        yield
    except ForbiddenAddress as error:
        what = f"{error} is no public address, and not among those inside that may be reached"
        raise _error(prepared, Kind.FORBIDDEN_ADDRESS, what) from None
    except Misled as error:
        raise _error(prepared, Kind.REDIRECT, f"was {error}") from None
    except TooLarge:
        what = f"answered with more than {limits.max_bytes} bytes"
        raise _error(prepared, Kind.TOO_LARGE, what) from None
    except BadEncoding as error:
        what = f"answered with a body that can't be read: {error}"
        raise _error(prepared, Kind.INVALID_RESPONSE, what) from None
    except (TimeoutError, httpx.TimeoutException) as error:
        what = "took too long"
        raise _error(prepared, Kind.TIMEOUT, what, type(error).__name__, retryable=True) from None
    except httpx.LocalProtocolError:
        raise _error(prepared, Kind.INVALID_REQUEST, "can't be sent as HTTP") from None
    except httpx.TransportError as error:
        reason = f"{type(error).__name__}: {error}"
        raise _error(prepared, Kind.TRANSPORT, "failed", reason, retryable=True) from None


def _error(
    prepared: Prepared, kind: Kind, what: str, reason: str = "", *, retryable: bool = False
) -> ToolError:
    reason = prepared.secrets.mask(reason)
    return ToolError(
        NAME,
        kind,
        f"{prepared} {what}" + (f" ({reason})" if reason else ""),
        details={**prepared.facts, "reason": reason or what},
        retryable=retryable,
    )
