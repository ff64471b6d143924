from collections.abc import Mapping
from datetime import timedelta

import pytest

from examples.daily_digest.content import Digest, Embed, post_to_discord
from examples.daily_digest.content.discord import message
from examples.daily_digest.servers import Answer, Request, Webhook, serving
from squid_mesh import RetryLater, StepError
from squid_mesh.tools.http import Http

DIGEST = Digest(
    content="**Harbour News** · 2026-01-05\n1 entry",
    embeds=(Embed("Old lighthouse", "Half as bright", "https://news.example.org/", None),),
)


async def test_a_digest_is_posted_and_its_message_known(
    tool: Http, webhook: Webhook, discord: str
) -> None:
    message_id = await post_to_discord(tool, DIGEST, f"{discord}/webhooks/ok")

    assert message_id == "1325000000000000000"
    (post,) = webhook.posts
    assert (post.status, post.message) == (200, message(DIGEST))


async def test_the_query_of_the_url_is_kept(tool: Http) -> None:
    queries: list[Mapping[str, str]] = []

    def remember(request: Request) -> Answer:
        queries.append(request.query)
        return Answer(204)

    with serving(remember) as discord:
        await post_to_discord(tool, DIGEST, f"{discord}/webhooks/a?thread_id=7")
    assert queries == [{"thread_id": "7", "wait": "true"}]


async def test_a_bad_day_of_discord_ends_in_success(
    tool: Http, webhook: Webhook, discord: str
) -> None:
    url = f"{discord}/webhooks/flaky"

    with pytest.raises(StepError, match="answered 503 Service Unavailable") as unavailable:
        await post_to_discord(tool, DIGEST, url)
    with pytest.raises(RetryLater) as limited:
        await post_to_discord(tool, DIGEST, url)
    assert await post_to_discord(tool, DIGEST, url) is None

    assert unavailable.value.retryable
    assert limited.value.after == timedelta(seconds=1)
    assert [post.status for post in webhook.posts_to("/webhooks/flaky")] == [503, 429, 204]


async def test_a_rejected_digest_is_not_tried_again(tool: Http, discord: str) -> None:
    with pytest.raises(StepError, match="rejected the digest: 400 Invalid") as caught:
        await post_to_discord(tool, DIGEST, f"{discord}/webhooks/rejecting")

    error = {"code": "URL_TYPE_INVALID_URL", "message": "Not a well formed URL."}
    assert not caught.value.retryable
    assert caught.value.code == "discord_rejected"
    assert caught.value.details == {
        "status": 400,
        "code": 50035,
        "errors": {"embeds": {"0": {"url": {"_errors": [error]}}}},
    }


async def test_a_digest_beyond_the_limits_is_rejected_with_its_fields(
    tool: Http, webhook: Webhook, discord: str
) -> None:
    too_long = Digest(content="c" * 2001, embeds=())
    with pytest.raises(StepError) as caught:
        await post_to_discord(tool, too_long, f"{discord}/webhooks/ok")

    assert caught.value.details is not None
    assert list(caught.value.details["errors"]) == ["content"]
    assert [post.status for post in webhook.posts] == [400]


async def test_an_unknown_webhook_is_a_rejection(tool: Http, discord: str) -> None:
    with pytest.raises(StepError, match="404 Unknown Webhook") as caught:
        await post_to_discord(tool, DIGEST, f"{discord}/webhooks/gone")
    assert not caught.value.retryable


async def test_what_a_proxy_says_is_a_rejection_without_a_reason(tool: Http) -> None:
    with (
        serving(lambda _: Answer(403, b"<html>banned</html>")) as discord,
        pytest.raises(StepError, match="rejected the digest: 403 without a reason"),
    ):
        await post_to_discord(tool, DIGEST, f"{discord}/webhooks/a")


@pytest.mark.parametrize(
    ("url", "code", "retryable"),
    [
        ("{discord}/webhooks/hanging?token=hush-hush", "timeout", True),
        ("{discord}/webhooks/rejecting?token=hush-hush", "discord_rejected", False),
        ("{discord}/webhooks/flaky?token=hush-hush", "http", True),
        ("http://127.0.0.1:1/hush-hush", "transport", True),
        ("http://10.0.0.1/hush-hush", "forbidden_address", False),
        ("hush-hush", "invalid_request", False),
        ("http://hush-hush\x00/", "invalid_request", False),
        ("", "invalid_request", False),
    ],
)
async def test_no_failure_tells_the_url(
    impatient: Http, discord: str, url: str, code: str, *, retryable: bool
) -> None:
    with pytest.raises(StepError) as caught:
        await post_to_discord(impatient, DIGEST, url.format(discord=discord))

    error = caught.value
    assert (error.code, error.retryable) == (code, retryable)
    assert "hush-hush" not in f"{error} {error.details}"
    assert error.__suppress_context__ or error.__context__ is None
