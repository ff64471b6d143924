"""The page on conformance: it lists every item, and is what the markers make of it."""

import subprocess
import sys

import pytest

from tests.conformance import page
from tests.conformance.items import Item, Section, sections
from tests.conformance.shown import ROOT, Shown

NUMBERS = [f"S{n}" for n in range(1, 210) if n not in {168, 169, 170}]

SHOWN = Shown("tests/test_a.py", "test_it_isn_t_lost")


def section(**facts: str) -> list[Section]:
    return [Section("A", (Item(number="S1", what="It works.", **facts),))]


def test_the_table_has_every_item_in_order() -> None:
    assert [item.number for part in sections() for item in part.items] == NUMBERS


def test_the_page_is_what_the_markers_make_of_it() -> None:
    """In a process of its own: pytest's collection doesn't run inside itself."""
    command = [sys.executable, "-m", "tests.conformance", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_an_item_has_a_test_or_a_reason() -> None:
    assert page.problems(section(), {}) == ["S1 has no test and no reason: It works."]
    assert page.problems(section(), {"S1": [SHOWN]}) == []
    assert page.problems(section(differs="Otherwise."), {}) == []
    assert page.problems(section(planned="Soon."), {}) == []


def test_a_marker_names_an_item_that_there_is() -> None:
    tests = {"S1": [SHOWN], "S168": [SHOWN]}
    assert page.problems(section(), tests) == ["a test shows S168, which is no item"]


def test_an_item_stands_in_the_table_once() -> None:
    assert page.problems(section(differs="x") * 2, {}) == ["S1 stands in the table twice"]


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"differs": "Otherwise."}, "*Here:* Otherwise."),
        ({"planned": "Soon."}, "*Not yet:* Soon."),
    ],
)
def test_a_page_tells_what_an_item_is_and_how_it_differs(facts: dict[str, str], told: str) -> None:
    text = page.page(section(**facts), {})
    assert f"**S1** It works.\n\n{told}\n" in text


def test_a_page_names_tests_by_their_sentence_and_the_cases_that_show_it() -> None:
    text = page.page(section(), {"S1": [SHOWN, Shown("tests/test_b.py", "test_b", ("x", "y"))]})
    assert "- [it isn’t lost](../tests/test_a.py)\n- [b](../tests/test_b.py): x, y\n" in text
    assert "Of 1 items 1 are shown by tests; 0 differ" in text
