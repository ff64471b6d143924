"""docs/production_readiness.md: each line has a command. That they work is test_pages' matter."""

from markdown_it import MarkdownIt

from tests.docs.pages import CODE, ROOT

PAGE = ROOT / "docs" / "production_readiness.md"


def lines() -> dict[str, bool]:
    """The lines of the checklist, which begin in bold: whether a block of code belongs to each."""
    shown: dict[str, bool] = {}
    line = ""
    for token in MarkdownIt().parse(PAGE.read_text(encoding="utf-8")):
        if token.type == "heading_open":
            line = ""
        elif token.type == "inline" and token.content.startswith("**"):
            line = token.content
            shown[line] = False
        elif token.type == "fence" and line and token.info.partition(" ")[0] in CODE:
            shown[line] = True
    return shown


def test_each_line_has_the_command_that_shows_it() -> None:
    """Or says that there is nothing to show yet, or where on the page it was shown."""
    found = lines()
    assert len(found) > 40
    for line, has_command in found.items():
        assert has_command or "☐" in line or "(#" in line, f"no command shows this: {line}"
