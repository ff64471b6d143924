"""The digest, played on real input: good weather, bad weather, final failure, and a kill.

Everything is local: a Postgres that lives as long as the demo, a feed server, and a webhook that
behaves like Discord's. With `FEED_URL` and `DISCORD_WEBHOOK_URL` in the environment it reads that
feed and posts to that webhook instead, once.
"""

import asyncio
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from squid_mesh import embedded

from . import settings
from .report import progress, report
from .scenarios import (
    Outcome,
    differences,
    ending_of,
    for_real,
    from_its_window,
    on_loopback,
    through_a_kill,
)
from .servers import Webhook, serve_feeds
from .stage import Stage


def main() -> int:
    """Run the demo; 0 when every run ended as it should, 1 when one didn't, 130 on Ctrl-C."""
    logging.getLogger("squid_mesh").setLevel(logging.ERROR)  # a kill is no news here
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
    with (
        embedded.server() as dsn,
        serve_feeds() as feeds,
        webhook.serving() as discord,
        progress(console) as shown,
    ):
        outcomes = asyncio.run(play(Stage(dsn, webhook, shown), feeds, discord))
    for outcome in outcomes:
        report(console, outcome)
    console.print(Text(_timings(outcomes, began)), soft_wrap=True)
    return _judge(console, outcomes)


async def play(stage: Stage, feeds: str, discord: str) -> list[Outcome]:
    """Everything there is to show; of the real world, one run."""
    if settings.FEED_URL:
        real = for_real(settings.FEED_URL, settings.DISCORD_WEBHOOK_URL)
        return await stage.play_at_once(real)
    return [
        *await stage.play_at_once(on_loopback(feeds, discord)),
        await stage.play_from_its_window(from_its_window(feeds, discord)),
        await stage.play_with_a_kill(through_a_kill(feeds, discord)),
    ]


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
