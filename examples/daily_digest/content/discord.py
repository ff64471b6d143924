"""Posting a digest to a Discord webhook.

The webhook's URL is a secret: whoever has it can post. As a `SecretStr` no failure tells it.
"""

from dataclasses import asdict
from typing import Any

from pydantic import SecretStr

from squid_mesh import StepError
from squid_mesh.tools import ToolError
from squid_mesh.tools.http import Http, Request, Response, StatusError

from .digest import Digest


async def post_to_discord(http: Http, digest: Digest, url: str) -> str | None:
    """Post `digest`; the new message's id when Discord tells it.

    Raises what `http` raises, among it `RetryLater` when Discord names the time to come back, and
    `StepError`, not retryable, when Discord rejected the message itself.
    """
    # With wait=true Discord answers when the message exists, and says so when it doesn't.
    request = Request("POST", SecretStr(url), params={"wait": "true"}, json=message(digest))
    try:
        answer = await http.invoke(request)
    except StatusError as error:
        if error.retryable:
            raise
        raise _rejected(error.response) from None
    message_id = _fields(answer.payload).get("id")
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


def _rejected(response: Response) -> StepError:
    fields = _fields(response)
    reason = fields.get("message", "without a reason")
    return StepError(
        f"Discord rejected the digest: {response.status} {reason}",
        code="discord_rejected",
        details={
            "status": response.status,
            "code": fields.get("code"),
            "errors": fields.get("errors", {}),
        },
        retryable=False,
    )


def _fields(response: Response) -> dict[str, Any]:
    """The JSON object that Discord answered, or an empty one: a proxy may answer in HTML."""
    try:
        body = response.json()
    except ToolError:
        return {}
    return body if isinstance(body, dict) else {}
