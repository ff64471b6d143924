"""`./dev examples`, on examples that a test makes up, and the web application as it plays it."""

from pathlib import Path

import pytest

from examples import __main__ as running
from examples.ordering import order

WEB = Path(running.__file__).with_name("web")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of examples, without any."""
    folder = tmp_path / "made_up"
    folder.mkdir()
    monkeypatch.setattr(running, "_HERE", folder)
    return folder


def make(place: Path, name: str, code: str) -> None:
    (place / name).mkdir()
    (place / name / "__main__.py").write_text(code, encoding="utf-8")


def test_all_examples_are_run_and_found_well(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(place, "one", "")
    make(place, "two", "raise SystemExit(0)")
    (place / "notes").mkdir()

    assert running.main() == 0
    said = "\n— made_up.one\n\n— made_up.two\n\nEvery example ended as it should.\n"
    assert capsys.readouterr().out == said


def test_one_that_fails_is_named_and_the_others_are_run(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(place, "bad", "raise SystemExit(1)")
    make(place, "good", "")

    assert running.main() == 1
    said = capsys.readouterr().out
    assert "— made_up.good" in said
    assert said.endswith("\nFailed: made_up.bad\n")


def test_one_that_never_ends_is_ended(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.5)
    make(place, "endless", "import threading; threading.Event().wait()")

    assert running.main() == 1
    assert "made_up.endless was not over after 0.5 s." in capsys.readouterr().out


def test_a_server_is_ordered_from(place: Path) -> None:
    (place / "web").mkdir()
    assert list(running.examples()) == ["made_up.ordering"]


@pytest.mark.skipif(not WEB.is_dir(), reason="there is no web application here")
async def test_an_order_at_the_web_application_is_fulfilled(dsn: str, tmp_path: Path) -> None:
    assert await order(dsn, tmp_path / "socket") == "completed"
