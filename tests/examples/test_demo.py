import io
from dataclasses import replace

import pytest
from rich.console import Console

from examples.daily_digest import demo, settings
from examples.daily_digest.scenarios import Ending, differences

EXPECTED = Ending(
    status="completed",
    attempts_to_post=("failed", "completed"),
    answers_of_the_webhook=(503, 200),
    posted_as_built=True,
    recorded_as_failed=False,
)


def test_the_demo_ends_as_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FEED_URL", "")  # whoever runs the tests may have a real one
    said = io.StringIO()

    assert demo.demonstrate(Console(file=said, width=110)) == 0
    assert "through a 503 and a 429: completed" in said.getvalue()
    assert "failed_deliveries holds" in said.getvalue()
    assert "First step result after" in said.getvalue()
    assert "Every run ended as it should." in said.getvalue()


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


def test_half_of_the_real_world_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "FEED_URL", "https://example.com/feed.xml")
    monkeypatch.setattr(settings, "DISCORD_WEBHOOK_URL", "")

    assert demo.main() == 1
    assert capsys.readouterr().out == "Set both FEED_URL and DISCORD_WEBHOOK_URL, or neither.\n"
