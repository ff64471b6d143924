from collections.abc import Mapping
from datetime import timedelta

import httpx
import pytest

from examples.daily_digest.content import Digest, Embed, post_to_discord
from examples.daily_digest.content.discord import message
from examples.daily_digest.servers import Answer, Request, Webhook, serving
from squid_mesh import RetryLater, StepError

DIGEST = Digest(
    content="**Harbour News** · 2026-01-05\n1 entry",
    embeds=(Embed("Old lighthouse", "Half as bright", "https://news.example.org/", None),),
)


async def test_a_digest_is_posted_and_its_message_known(
    http: httpx.AsyncClient, webhook: Webhook, discord: str
) -> None:
    message_id = await post_to_discord(http, DIGEST, f"{discord}/webhooks/ok")

    assert message_id == "1325000000000000000"
    (post,) = webhook.posts
    assert (post.status, post.message) == (200, message(DIGEST))


async def test_the_query_of_the_url_is_kept(http: httpx.AsyncClient) -> None:
    queries: list[Mapping[str, str]] = []

    def remember(request: Request) -> Answer:
        queries.append(request.query)
        return Answer(204)

    with serving(remember) as discord:
        await post_to_discord(http, DIGEST, f"{discord}/webhooks/a?thread_id=7")
    assert queries == [{"thread_id": "7", "wait": "true"}]


async def test_a_bad_day_of_discord_ends_in_success(
    http: httpx.AsyncClient, webhook: Webhook, discord: str
) -> None:
    url = f"{discord}/webhooks/flaky"

    with pytest.raises(StepError, match="Discord answered 503") as unavailable:
        await post_to_discord(http, DIGEST, url)
    with pytest.raises(RetryLater) as limited:
        await post_to_discord(http, DIGEST, url)
    assert await post_to_discord(http, DIGEST, url) is None

    assert unavailable.value.retryable
    assert limited.value.after == timedelta(seconds=0.6)
    assert [post.status for post in webhook.posts_to("/webhooks/flaky")] == [503, 429, 204]


async def test_a_rejected_digest_is_not_tried_again(http: httpx.AsyncClient, discord: str) -> None:
    with pytest.raises(StepError, match="rejected the digest: 400 Invalid") as caught:
        await post_to_discord(http, DIGEST, f"{discord}/webhooks/rejecting")

    error = {"code": "URL_TYPE_INVALID_URL", "message": "Not a well formed URL."}
    assert not caught.value.retryable
    assert caught.value.code == "discord_rejected"
    assert caught.value.details == {
        "status": 400,
        "code": 50035,
        "errors": {"embeds": {"0": {"url": {"_errors": [error]}}}},
    }


async def test_a_digest_beyond_the_limits_is_rejected_with_its_fields(
    http: httpx.AsyncClient, webhook: Webhook, discord: str
) -> None:
    too_long = Digest(content="c" * 2001, embeds=())
    with pytest.raises(StepError) as caught:
        await post_to_discord(http, too_long, f"{discord}/webhooks/ok")

    assert caught.value.details is not None
    assert list(caught.value.details["errors"]) == ["content"]
    assert [post.status for post in webhook.posts] == [400]


async def test_an_unknown_webhook_is_a_rejection(http: httpx.AsyncClient, discord: str) -> None:
    with pytest.raises(StepError, match="404 Unknown Webhook") as caught:
        await post_to_discord(http, DIGEST, f"{discord}/webhooks/gone")
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("body", "header", "seconds"),
    [
        (b'{"retry_after": 1.25}', "2", 1.25),
        (b'{"retry_after": "soon"}', "2", 1),
        (b"<html>banned by a proxy</html>", "7", 7),
        (b"<html>banned by a proxy</html>", None, 1),
        (b"[]", "Wed, 21 Oct 2026 07:28:00 GMT", 1),
        (b'{"retry_after": 1e300}', None, 3600),
        (b'{"retry_after": -3}', None, 0),
        (b'{"retry_after": NaN}', None, 1),
    ],
)
async def test_discord_names_the_time_to_come_back(
    http: httpx.AsyncClient, body: bytes, header: str | None, seconds: float
) -> None:
    headers = {"Retry-After": header} if header else {}
    with (
        serving(lambda _: Answer(429, body, headers)) as discord,
        pytest.raises(RetryLater) as caught,
    ):
        await post_to_discord(http, DIGEST, f"{discord}/webhooks/limited")
    assert caught.value.after == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("url", "code", "retryable"),
    [
        ("{discord}/webhooks/hanging?token=hush-hush", "discord_unavailable", True),
        ("{discord}/webhooks/rejecting?token=hush-hush", "discord_rejected", False),
        ("{discord}/webhooks/flaky?token=hush-hush", "discord_unavailable", True),
        ("http://127.0.0.1:1/hush-hush", "discord_unavailable", True),
        ("hush-hush", "discord_misconfigured", False),
        ("http://hush-hush\x00/", "discord_misconfigured", False),
        ("", "discord_misconfigured", False),
    ],
)
async def test_no_failure_tells_the_url(
    http: httpx.AsyncClient, discord: str, url: str, code: str, *, retryable: bool
) -> None:
    with pytest.raises(StepError) as caught:
        await post_to_discord(http, DIGEST, url.format(discord=discord))

    error = caught.value
    assert (error.code, error.retryable) == (code, retryable)
    assert "hush-hush" not in f"{error} {error.details}"
    assert error.__suppress_context__ or error.__context__ is None
