import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from examples.daily_digest import demo, settings
from examples.daily_digest.scenarios import Ending, differences

EXPECTED = Ending(
    status="completed",
    trigger="by_hand",
    attempts_to_post=("failed", "completed"),
    answers_of_the_webhook=(503, 200),
    posted_as_built=True,
    recorded_as_failed=False,
)

KILLED = r"""
through a kill: post_to_discord \(running\)
Worker \d+ is killed while it waits for Discord's answer\.
"""
TAKEN_OVER = r"""
post_to_discord  1        interrupted  .*
                 2        completed    .*
"""


def test_the_demo_ends_as_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FEED_URL", "")  # whoever runs the tests may have a real one
    console = Console(file=io.StringIO(), width=110)

    assert demo.demonstrate(console) == 0
    said = written_on(console)
    assert "through a 503 and a 429: completed" in said
    assert "failed_deliveries holds" in said
    assert "The next window of daily_digest is " in said
    assert "from its cron window: completed" in said
    assert re.search(KILLED, said)
    assert re.search(TAKEN_OVER, said)
    assert "First step result after" in said
    assert "Every run ended as it should." in said


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (EXPECTED, []),
        (replace(EXPECTED, status="failed"), ["status: failed, expected completed"]),
        (
            replace(EXPECTED, answers_of_the_webhook=(), posted_as_built=False),
            [
                "answers of the webhook: (), expected (503, 200)",
                "posted as built: False, expected True",
            ],
        ),
    ],
)
def test_whatever_is_not_as_expected_is_named(seen: Ending, said: list[str]) -> None:
    assert list(differences(EXPECTED, seen)) == said


def test_what_nobody_expects_may_be_anything() -> None:
    indifferent = replace(EXPECTED, attempts_to_post=None, answers_of_the_webhook=None)
    assert list(differences(indifferent, EXPECTED)) == []


def written_on(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_half_of_the_real_world_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "FEED_URL", "https://example.com/feed.xml")
    monkeypatch.setattr(settings, "DISCORD_WEBHOOK_URL", "")

    assert demo.main() == 1
    assert capsys.readouterr().out == "Set both FEED_URL and DISCORD_WEBHOOK_URL, or neither.\n"
