"""Pages of the documentation, as blocks that can be run. Knows Markdown, and runs nothing.

Every block of code is run. A block's info string is its language and what else is to be known:

* `needs="squid-mesh"`: it is run where that program is, or that module can be imported.
* `exits=1`: the status that a shell block ends with.
* `background="up"`: the shell block goes on, until the page ends, once it has written this.
* `in="checkout"`: the shell block is run in the folder of this repository, not in the page's.

A block belongs to a file if its first line is a comment with the file's name, or if the text before
it begins or ends with the name, as in "Declare it: `orders.py`". A file that calls `asyncio.run` is
a program, and is run; others are modules, and are imported. Every other block of Python is a part
of one session, in which `await` may stand anywhere, as in `python -m asyncio`.

A block without a language, or of `text`, is what the block of code before it writes, unless a
heading stands between them. An ellipsis in it stands for anything.

What a reader has already, such as a table of his own, is a block that isn't shown: a comment whose
first line is `<!-- docs: sql` (or another language), and whose last is `-->`.

`<!-- docs: advance days=2 -->` lets that time pass. `<!-- docs: elsewhere tests/test_x.py -->` says
that another test follows this page, because it has to prepare something that a reader has.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

PYTHON = frozenset({"python", "py"})
SHELL = frozenset({"sh", "bash", "shell", "console"})
CODE = PYTHON | SHELL | {"sql", "pycon"}
OUTPUT = frozenset({"", "text"})

_NAMED = re.compile(r"^`([\w./-]+\.\w+)`|`([\w./-]+\.\w+)`\W*$")
_FIRST_LINE = re.compile(r"(?:#|--|//) ([\w./-]+\.\w+)\n")
_DIRECTIVE = re.compile(r"<!-- docs: (.*?) -->")
_HIDDEN = re.compile(r"<!-- docs: (\w+)\n(.*?)^-->", re.DOTALL | re.MULTILINE)


@dataclass(slots=True)
class Block:
    """A fenced block and where it stands, or a directive (whose language is `docs`)."""

    place: str
    language: str
    text: str
    file: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    output: str | None = None
    """What it writes, as the page says."""

    @property
    def is_code(self) -> bool:
        """Whether it is to be run."""
        return self.language in CODE

    @property
    def installs(self) -> bool:
        """Whether a reader installs something by it."""
        return self.language in SHELL and "pip install" in self.text


def read(text: str, name: str = "page.md") -> list[Block]:
    """The blocks of a page, in order, but for those that aren't code and make no file."""
    blocks: list[Block] = []
    last: Block | None = None
    for block in _every(text, name):
        if block is None:
            last = None
        elif block.language in OUTPUT:
            if last is not None:
                last.output = block.text
            last = None
        elif block.is_code or block.file or block.language == "docs":
            blocks.append(block)
            last = block if block.is_code else None
    return blocks


def _every(text: str, name: str) -> Iterator[Block | None]:
    """Every block and directive; None where a heading stands."""
    before = ""
    for token in MarkdownIt().parse(text):
        place = f"{name}:{token.map[0] + 1}" if token.map else name
        match token.type:
            case "heading_open":
                yield None
            case "inline":
                before = token.content
            case "html_block":
                for words in _DIRECTIVE.findall(token.content):
                    yield Block(place, "docs", words)
                for language, code in _HIDDEN.findall(token.content):
                    yield Block(place, language, code)
            case "fence":
                yield _block(token, place, before)
                before = ""
            case _:
                pass


def _block(token: Token, place: str, before: str) -> Block:
    language, *words = shlex.split(token.info) or [""]
    pairs = (word.partition("=") for word in words)
    options = {name: value for name, _, value in pairs}
    named = _NAMED.search(before) or _FIRST_LINE.match(token.content)
    file = named[named.lastindex or 0] if named and language not in SHELL | OUTPUT else None
    return Block(place, language, token.content, file, options)


def elsewhere(blocks: Iterable[Block]) -> str | None:
    """The test that follows a page instead of us."""
    told = (block.text.split() for block in blocks if block.language == "docs")
    return next((words[1] for words in told if words[0] == "elsewhere"), None)


def links(text: str) -> list[str]:
    """Where the links of a page lead."""
    found = [
        str(child.attrs["href"])
        for token in MarkdownIt().enable("table").parse(text)
        for child in token.children or ()
        if child.type == "link_open"
    ]
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(text: str) -> set[str]:
    """What a link into a page may say after its `#`, as GitHub makes it of headings."""
    tokens = MarkdownIt().parse(text)
    titles = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
