"""The weekday digest: read the feed, write it up, post it."""

from datetime import timedelta

from squid_mesh import (
    Exponential,
    Payload,
    Retry,
    Window,
    Workflow,
    complete,
    context,
    cron,
    log,
    manual,
    resource,
    step,
)
from squid_mesh.tools.http import Http

from . import content, settings


class DigestPayload(Payload):
    """Which feed to read, where to post it, and for which day."""

    feed_url: str = "https://example.com/feed.xml"
    discord_webhook_url: str
    posted_on: str


def weekday_digest(window: Window) -> DigestPayload:
    """The payload of a scheduled run, made when its tick fires."""
    return DigestPayload(
        feed_url=settings.FEED_URL,
        discord_webhook_url=settings.DISCORD_WEBHOOK_URL,
        posted_on=window.date().isoformat(),
    )


class PostDailyDigest(Workflow[DigestPayload]):
    """Post the weekday digest to Discord."""

    daily_digest = cron("0 9 * * 1-5", timezone="Etc/UTC", payload=weekday_digest)
    by_hand = manual()

    fetch_feed = step(content.fetch_feed).takes(resource(Http), feed_url=DigestPayload.feed_url)
    build_digest = step(content.build_digest, output="digest").takes(
        feed=fetch_feed.output, posted_on=DigestPayload.posted_on
    )
    announce_post = log("Posting the daily digest", level="info")
    post_to_discord = step(
        content.post_to_discord,
        retry=Retry(
            max_attempts=5, backoff=Exponential(timedelta(seconds=1), timedelta(seconds=30))
        ),
    ).takes(resource(Http), digest=build_digest.output, url=DigestPayload.discord_webhook_url)
    record_failed_delivery = step(content.record_failed_delivery).takes(
        resource(content.FailedDeliveries),
        context,
        digest=build_digest.output,
        failure=post_to_discord.error,
    )

    flow = (
        fetch_feed >> build_digest >> announce_post >> post_to_discord >> complete,
        post_to_discord.on_error >> record_failed_delivery >> complete,
    )
