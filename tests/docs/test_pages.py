"""Every page is followed to the letter: its code is run, and does what the page says."""

import re
from pathlib import Path

import pytest

from squid_mesh.cli.commands import program
from tests.docs.pages import PAGES, ROOT, Block, anchors, elsewhere, links, read
from tests.docs.playing import lacks, play

MOST_WORDS_OF_NO_REASON = 2

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks_of(page: Path) -> list[Block]:
    return read(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))


@every_page
def test_a_page_does_what_it_says(page: Path, request: pytest.FixtureRequest) -> None:
    blocks = blocks_of(page)
    if not any(block.is_code and not block.untested for block in blocks):
        return  # a page of prose needs no database
    if test := elsewhere(blocks):
        assert page.name in (ROOT / test).read_text(encoding="utf-8"), f"{test} doesn't follow it"
        return
    problems = play(blocks, request.getfixturevalue("dsn"))
    assert not problems, "\n".join(problems)


def test_what_is_not_run_says_why_and_is_little() -> None:
    code = [block for page in PAGES for block in blocks_of(page) if block.is_code]
    untested = {block.place: block.untested for block in code if block.untested is not None}
    lacking = {block.place: f"there is no {lacks(block)}" for block in code if lacks(block)}
    for place, why in (untested | lacking).items():
        print(f"{place} isn't run: {why}")  # noqa: T201 (pytest -rP shows the list)
        assert len(why.split()) > MOST_WORDS_OF_NO_REASON, f"{place} isn't run, and says no reason"
    assert len(untested) * 5 <= len(code), "too much of the documentation isn't run"


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}, which isn't there"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_tests_that_pages_name_are_there() -> None:
    files = [path.stem for path in (ROOT / "tests").rglob("test_*.py")]
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text())}
    assert named
    for name in named:
        assert any(stem.startswith(name) for stem in files), f"there is no {name}"


def test_the_commands_that_pages_name_are_there() -> None:
    for page in PAGES:
        for name in re.findall(r"`squid-mesh (\w+)", page.read_text(encoding="utf-8")):
            assert name in program.commands, f"{page.name} names squid-mesh {name}"
