"""The digest, three times over: straight through, through bad weather, and to final failure.

Everything is local: a Postgres that lives as long as the demo, a feed server, and a webhook that
behaves like Discord's. With `FEED_URL` and `DISCORD_WEBHOOK_URL` in the environment it reads that
feed and posts to that webhook instead, once.
"""

import asyncio
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from httpx import AsyncClient
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from rich.console import Console
from rich.text import Text

from squid_mesh import Mesh, RunDetails, WaitTimeout, embedded

from . import settings
from .content import FailedDeliveries, FailedDelivery
from .report import Show, progress, report
from .scenarios import Outcome, Scenario, differences, ending_of, for_real, on_loopback
from .servers import Webhook, serve_feeds
from .workflow import DigestPayload, PostDailyDigest

PATIENCE = timedelta(minutes=1)
GLANCE = timedelta(milliseconds=100)


def main() -> int:
    """Run the demo; 0 when every run ended as it should, 1 when one didn't, 130 on Ctrl-C."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs URLs; the webhook's is secret
    console = Console(width=None if sys.stdout.isatty() else 110)
    if bool(settings.FEED_URL) != bool(settings.DISCORD_WEBHOOK_URL):
        console.print("Set both FEED_URL and DISCORD_WEBHOOK_URL, or neither.")
        return 1
    try:
        return demonstrate(console)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130


def demonstrate(console: Console) -> int:
    """Play the scenarios against a Postgres and servers of the demo's own, and judge them."""
    began = datetime.now(UTC)
    webhook = Webhook()
    with embedded.server() as dsn, serve_feeds() as feeds, webhook.serving() as discord:
        scenarios = (
            for_real(settings.FEED_URL, settings.DISCORD_WEBHOOK_URL)
            if settings.FEED_URL
            else on_loopback(feeds, discord)
        )
        with progress(console) as show:
            outcomes = asyncio.run(play_all(scenarios, dsn, webhook, show))
    for outcome in outcomes:
        report(console, outcome)
    console.print(Text(_timings(outcomes, began)), soft_wrap=True)
    return _judge(console, outcomes)


async def play_all(
    scenarios: Sequence[Scenario], dsn: str, webhook: Webhook, show: Show
) -> list[Outcome]:
    """The host application: its pool, its HTTP client, its table, and a mesh that is given them."""
    async with (
        AsyncConnectionPool[AsyncConnection](dsn, min_size=1, open=False) as pool,
        AsyncClient(timeout=10) as http,
    ):
        deliveries = FailedDeliveries(pool)
        await deliveries.install()
        digests = Mesh.connect(
            dsn,
            workflows=[PostDailyDigest],
            queues={"squid_mesh": 10},
            install=True,
            resources=[http, deliveries],
        )
        async with digests as mesh, asyncio.TaskGroup() as tasks:
            playing = [tasks.create_task(play(mesh, each, show)) for each in scenarios]
        return [
            Outcome(
                scenario,
                details := run.result(),
                posts=webhook.posts_to(urlsplit(scenario.webhook_url).path),
                delivery=await _failed_delivery(deliveries, details),
            )
            for scenario, run in zip(scenarios, playing, strict=True)
        ]


async def play(mesh: Mesh, scenario: Scenario, show: Show) -> RunDetails:
    """Start one run and watch it to its end, or for as long as patience lasts."""
    payload = DigestPayload(
        feed_url=scenario.feed_url,
        discord_webhook_url=scenario.webhook_url,
        posted_on=datetime.now(UTC).date().isoformat(),
    )
    run = await mesh.start_run(PostDailyDigest, payload, trigger="by_hand")
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while run.ended_at is None:
                show(scenario.title, run)
                try:
                    run = await mesh.wait_for_run(run.id, timeout=GLANCE)
                except WaitTimeout as still:
                    run = still.run
    show(scenario.title, run)
    return await mesh.inspect_run(run.id, include_history=True)


async def _failed_delivery(
    deliveries: FailedDeliveries, details: RunDetails
) -> FailedDelivery | None:
    completed = {row.step for row in details.step_runs if row.status == "completed"}
    if "record_failed_delivery" not in completed:
        return None
    return await deliveries.find(details.output(PostDailyDigest.record_failed_delivery))


def _timings(outcomes: Sequence[Outcome], began: datetime) -> str:
    ended = datetime.now(UTC)
    results = [
        step_run.finished_at
        for outcome in outcomes
        for step_run in outcome.details.step_runs
        if step_run.finished_at is not None
    ]
    first = min(results, default=ended)
    return (
        f"First step result after {(first - began).total_seconds():.2f} s,"
        f" everything after {(ended - began).total_seconds():.2f} s, Postgres' start included."
    )


def _judge(console: Console, outcomes: Sequence[Outcome]) -> int:
    complaints = [
        f"«{outcome.scenario.title}» ended otherwise than it should: {difference}."
        for outcome in outcomes
        for difference in differences(outcome.scenario.expected, ending_of(outcome))
    ]
    for complaint in complaints or ["Every run ended as it should."]:
        console.print(Text(complaint), soft_wrap=True)
    return 1 if complaints else 0
