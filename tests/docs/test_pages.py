"""Every page is followed to the letter: its code is run, and does what the page says."""

import re
import tomllib
from pathlib import Path

import pytest

from squid_mesh.cli.commands import program
from tests.docs.pages import PAGES, ROOT, Block, anchors, elsewhere, links, read
from tests.docs.playing import lacks, play

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks_of(page: Path) -> list[Block]:
    return read(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))


@pytest.mark.timeout(300)  # some play for half a minute, on a machine that may have others to run
@every_page
def test_a_page_does_what_it_says(page: Path, request: pytest.FixtureRequest) -> None:
    blocks = blocks_of(page)
    if not any(block.is_code for block in blocks):
        return  # a page of prose needs no database
    if test := elsewhere(blocks):
        assert page.name in (ROOT / test).read_text(encoding="utf-8"), f"{test} doesn't follow it"
        return
    problems = play(blocks, request.getfixturevalue("dsn"))
    assert not problems, "\n".join(problems)


def test_every_block_of_code_is_run() -> None:
    code = [block for page in PAGES for block in blocks_of(page) if block.is_code]
    known = {"needs", "exits", "background", "in"}
    assert {name for block in code for name in block.options} <= known, "nothing says: don't run"
    for block in code:
        if lacks(block):
            print(f"{block.place} isn't run here: there is no {lacks(block)}")  # noqa: T201 (pytest -rP shows it)


def test_what_is_installed_can_be() -> None:
    """A pip only warns when an extra isn't there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = {
        extra for names in re.findall(r"squid-mesh\[([^\]]+)\]", text) for extra in names.split(",")
    }
    assert named
    assert named <= set(project["optional-dependencies"])


def test_the_suite_that_readme_names_is_the_one_that_has_to_pass() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "`make test` runs the whole test suite" in (ROOT / "README.md").read_text(
        encoding="utf-8"
    )
    assert re.search(r"(?m)^make test\b", ci)


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
