"""Posting a digest to a Discord webhook.

The webhook's URL is a secret, so no failure carries it: httpx's own errors, which may quote it, are
named and left out.
"""

import math
from dataclasses import asdict
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx

from squid_mesh import RetryLater, StepError

from .digest import Digest

_LONGEST_WAIT = timedelta(hours=1)


async def post_to_discord(http: httpx.AsyncClient, digest: Digest, url: str) -> str | None:
    """Post `digest`; the new message's id when Discord tells it.

    Raises `RetryLater` when Discord names the time to come back, and `StepError` otherwise, not
    retryable when Discord rejected the message itself.
    """
    try:
        # With wait=true Discord answers when the message exists, and says so when it doesn't.
        target = httpx.URL(url).copy_merge_params({"wait": "true"})
        response = await http.post(target, json=message(digest))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise StepError(
            "the Discord webhook's URL is not a URL", code="discord_misconfigured", retryable=False
        ) from None
    except httpx.RequestError as error:
        raise StepError(
            f"Discord can't be reached ({type(error).__name__})", code="discord_unavailable"
        ) from None
    if not response.is_success:
        raise _failure(response)
    message_id = _fields(response).get("id")
    return None if message_id is None else str(message_id)


def message(digest: Digest) -> dict[str, Any]:
    """The body of the request. Whatever a feed says, it mentions nobody."""
    return {
        "content": digest.content,
        "embeds": [
            {name: value for name, value in asdict(embed).items() if value is not None}
            for embed in digest.embeds
        ],
        "allowed_mentions": {"parse": []},
    }


def _failure(response: httpx.Response) -> Exception:
    code = response.status_code
    if code == HTTPStatus.TOO_MANY_REQUESTS:
        return RetryLater(_retry_after(response))
    if code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return StepError(
            f"Discord answered {code}", code="discord_unavailable", details={"status": code}
        )
    fields = _fields(response)
    reason = fields.get("message", response.reason_phrase)
    return StepError(
        f"Discord rejected the digest: {code} {reason}",
        code="discord_rejected",
        details={"status": code, "code": fields.get("code"), "errors": fields.get("errors", {})},
        retryable=False,
    )


def _retry_after(response: httpx.Response) -> timedelta:
    """How long to stay away: the body says it to the millisecond, the header in whole seconds."""
    told = _fields(response).get("retry_after", response.headers.get("retry-after"))
    try:
        seconds = float(told)
    except (TypeError, ValueError):
        seconds = 1.0
    if not math.isfinite(seconds):
        seconds = 1.0
    return timedelta(seconds=min(max(seconds, 0.0), _LONGEST_WAIT.total_seconds()))


def _fields(response: httpx.Response) -> dict[str, Any]:
    """The JSON object that Discord answered, or an empty one: a proxy may answer in HTML."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
