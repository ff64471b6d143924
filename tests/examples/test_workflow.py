import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from examples.daily_digest import settings
from examples.daily_digest.workflow import DigestPayload, weekday_digest
from squid_mesh import Window


def test_the_workflow_imports_on_a_machine_that_knows_nothing_of_it() -> None:
    bare = {
        name: value
        for name, value in os.environ.items()
        if name not in ("FEED_URL", "DISCORD_WEBHOOK_URL")
    }
    importing = [sys.executable, "-W", "error", "-c", "import examples.daily_digest.workflow"]
    subprocess.run(importing, check=True, env=bare)


def test_a_scheduled_digest_is_dated_by_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FEED_URL", "https://news.example.org/feed.rss")
    monkeypatch.setattr(settings, "DISCORD_WEBHOOK_URL", "https://discord.example/webhooks/1")

    window = Window(trigger="daily_digest", at=datetime(2026, 1, 5, 9, tzinfo=UTC))
    assert weekday_digest(window) == DigestPayload(
        feed_url="https://news.example.org/feed.rss",
        discord_webhook_url="https://discord.example/webhooks/1",
        posted_on="2026-01-05",
    )
