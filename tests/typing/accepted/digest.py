"""A flow with an error route: async and sync steps, dataclass outputs, resources, the context."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from pydantic import Field
from sqlalchemy.orm import Session

from squid_mesh import (
    Exponential,
    Mesh,
    Payload,
    Retry,
    Run,
    RunDetails,
    StepContext,
    StepFailure,
    Window,
    Workflow,
    complete,
    connection,
    context,
    cron,
    log,
    manual,
    resource,
    session,
    step,
    whole,
)


class Client:
    """What an application opens once."""


@dataclass(frozen=True)
class Feed:
    title: str
    entries: list[dict[str, Any]]


@dataclass(frozen=True)
class Digest:
    content: str
    size: int


class DigestPayload(Payload):
    feed_url: str = "https://example.com/feed.xml"
    webhook_url: str
    posted_on: str
    headers: dict[str, Any] = Field(default_factory=dict)


async def fetch_feed(client: Client, feed_url: str, headers: dict[str, Any]) -> Feed:
    raise NotImplementedError


def build_digest(feed: Feed, posted_on: str, options: dict[str, Any]) -> Digest:
    raise NotImplementedError


async def post(client: Client, *, digest: Digest, url: str) -> None:
    raise NotImplementedError


def record(context: StepContext, conn: Any, digest: Digest, failure: StepFailure) -> dict[str, Any]:
    raise NotImplementedError


def keep(payload: DigestPayload, session: Session, reason: str, sizes: list[int]) -> None:
    raise NotImplementedError


def weekday(window: Window) -> DigestPayload:
    return DigestPayload(webhook_url="https://example.com", posted_on=window.date().isoformat())


class PostDigest(Workflow[DigestPayload]):
    daily = cron("0 9 * * 1-5", timezone="Etc/UTC", payload=weekday)
    by_hand = manual()

    fetched = step(fetch_feed, timeout=timedelta(seconds=10)).takes(
        resource(Client), feed_url=DigestPayload.feed_url, headers=DigestPayload.headers
    )
    built = step(build_digest, output="digest").takes(
        fetched.output, DigestPayload.posted_on, options={"first": fetched.output.entries[0]}
    )
    announced = log("Posting", level="info")
    posted = step(
        post,
        retry=Retry(5, backoff=Exponential(timedelta(seconds=1), timedelta(seconds=30))),
        queue="mail",
        on_interrupt="pause",
    ).takes(resource(Client), digest=built.output, url=DigestPayload.webhook_url)
    recorded = step(record).takes(context, connection(), digest=built.output, failure=posted.error)
    kept = step(keep).takes(
        whole(DigestPayload),
        session(Session),
        reason=posted.error.message,
        sizes=[built.output.size, 3],
    )

    flow = (
        fetched >> built >> announced >> posted >> complete,
        posted.on_error >> recorded >> kept >> complete,
    )

    assert_type(fetched.output, Feed)
    assert_type(built.output.size, int)
    assert_type(posted.output, None)
    assert_type(recorded.output, dict[str, Any])


async def run(mesh: Mesh, details: RunDetails) -> None:
    started = await mesh.start_run(
        PostDigest, DigestPayload(webhook_url="https://example.com", posted_on="2026-01-05")
    )
    assert_type(started, Run)
    await mesh.start_run(PostDigest, {"webhook_url": "x", "posted_on": "2026-01-05"}, key="today")
    assert_type(details.output(PostDigest.fetched), Feed)
    assert_type(details.output(PostDigest.built), Digest)
    assert_type(details.output(PostDigest.posted), None)
    assert_type(details.output(PostDigest.recorded), dict[str, Any])
