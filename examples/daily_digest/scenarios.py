"""What the demo plays, how each run should end, and in what it ended otherwise."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from squid_mesh import RunDetails, RunStatus

from .content import FailedDelivery
from .content.discord import message
from .servers import Post
from .workflow import PostDailyDigest


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, in the database and at the webhook; None expects nothing in particular."""

    status: str
    trigger: str
    attempts_to_post: tuple[str, ...] | None
    answers_of_the_webhook: tuple[int | None, ...] | None
    posted_as_built: bool
    recorded_as_failed: bool


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run to start, and how it should end."""

    title: str
    feed_url: str
    webhook_url: str
    expected: Ending

    @property
    def webhook(self) -> str:
        """The path of the webhook, which tells it from the others."""
        return urlsplit(self.webhook_url).path


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run that was played, and what it left behind."""

    scenario: Scenario
    details: RunDetails
    posts: tuple[Post, ...]
    delivery: FailedDelivery | None


def for_real(feed_url: str, webhook_url: str) -> tuple[Scenario, ...]:
    """A real feed and a real webhook: whatever it takes, the digest should be posted."""
    posted = Ending(
        status=RunStatus.COMPLETED,
        trigger="by_hand",
        attempts_to_post=None,
        answers_of_the_webhook=None,
        posted_as_built=True,
        recorded_as_failed=False,
    )
    return (Scenario("for real", feed_url, webhook_url, posted),)


def on_loopback(feeds: str, discord: str) -> tuple[Scenario, ...]:
    """Good weather, bad weather, and a webhook that will have none of it."""
    return (
        Scenario(
            "straight through",
            f"{feeds}/news.rss",
            f"{discord}/webhooks/ok",
            Ending(
                status=RunStatus.COMPLETED,
                trigger="by_hand",
                attempts_to_post=("completed",),
                answers_of_the_webhook=(200,),
                posted_as_built=True,
                recorded_as_failed=False,
            ),
        ),
        Scenario(
            "through a 503 and a 429",
            f"{feeds}/ragged.rss",
            f"{discord}/webhooks/flaky",
            Ending(
                status=RunStatus.COMPLETED,
                trigger="by_hand",
                attempts_to_post=("failed", "failed", "completed"),
                answers_of_the_webhook=(503, 429, 204),
                posted_as_built=True,
                recorded_as_failed=False,
            ),
        ),
        Scenario(
            "to final failure",
            f"{feeds}/blog.atom",
            f"{discord}/webhooks/rejecting",
            Ending(
                status=RunStatus.COMPLETED,
                trigger="by_hand",
                attempts_to_post=("failed",),
                answers_of_the_webhook=(400,),
                posted_as_built=True,
                recorded_as_failed=True,
            ),
        ),
    )


def from_its_window(feeds: str, discord: str) -> Scenario:
    """Nobody starts it but its schedule."""
    return Scenario(
        "from its cron window",
        f"{feeds}/news.rss",
        f"{discord}/webhooks/daily",
        Ending(
            status=RunStatus.COMPLETED,
            trigger="daily_digest",
            attempts_to_post=("completed",),
            answers_of_the_webhook=(200,),
            posted_as_built=True,
            recorded_as_failed=False,
        ),
    )


def through_a_kill(feeds: str, discord: str) -> Scenario:
    """A worker that dies between the post and its answer: posted again, by another one."""
    return Scenario(
        "through a kill",
        f"{feeds}/news.rss",
        f"{discord}/webhooks/slow",
        Ending(
            status=RunStatus.COMPLETED,
            trigger="by_hand",
            attempts_to_post=("interrupted", "completed"),
            answers_of_the_webhook=(None, 200),
            posted_as_built=True,
            recorded_as_failed=False,
        ),
    )


def ending_of(outcome: Outcome) -> Ending:
    """How a run ended, in the words of its expectation."""
    attempts = {
        step_run.step: tuple(str(attempt.status) for attempt in step_run.attempts)
        for step_run in outcome.details.step_runs
    }
    return Ending(
        status=outcome.details.status,
        trigger=outcome.details.trigger,
        attempts_to_post=attempts.get("post_to_discord", ()),
        answers_of_the_webhook=tuple(post.status for post in outcome.posts),
        posted_as_built=_is_posted_as_built(outcome),
        recorded_as_failed=outcome.delivery is not None,
    )


def differences(expected: Ending, seen: Ending) -> Iterator[str]:
    """Each thing that isn't as expected, as half a sentence."""
    for name in (field.name for field in fields(Ending)):
        wanted, found = getattr(expected, name), getattr(seen, name)
        if wanted is not None and found != wanted:
            yield f"{name.replace('_', ' ')}: {found}, expected {wanted}"


def _is_posted_as_built(outcome: Outcome) -> bool:
    if outcome.details.status != RunStatus.COMPLETED:
        return False
    built = message(outcome.details.output(PostDailyDigest.build_digest))
    return all(post.message == built for post in outcome.posts)
