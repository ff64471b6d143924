"""What blocks write, and what their page says that they write."""

import re
from typing import Any

from psycopg import AsyncCursor

from tests.docs.pages import Block

_ELLIPSIS = re.compile(r"…|\.\.\.")


class Differs(Exception):
    """A block doesn't do what its page says."""


def check(block: Block, *written: str) -> None:
    """Compare what a block wrote, in one way or another, with what its page says."""
    if block.output is None:
        return
    tidy = _columns if block.language == "sql" else _tidy
    expected = tidy(block.output)
    if not any(re.fullmatch(_pattern(expected), f"{tidy(text)}\n") for text in written):
        raise Differs(f"the page says\n\n{expected}\n\nand it writes\n\n{tidy(written[-1])}\n")


def _pattern(expected: str) -> str:
    """What a text has to be: an ellipsis alone is any lines, one in a line is anything there."""
    return "".join(
        r"(?:.*\n)*" if _ELLIPSIS.fullmatch(line) else f"{_pattern_of_line(line)}\n"
        for line in expected.split("\n")
    )


def _pattern_of_line(line: str) -> str:
    return ".*".join(re.escape(part) for part in _ELLIPSIS.split(line))


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def _columns(text: str) -> str:
    """A table without its widths."""
    lines = (re.sub(r"-+", "-", line.strip()) for line in text.strip().splitlines())
    return "\n".join(re.sub(r" *\| *", " | ", re.sub(r" +", " ", line)).strip() for line in lines)


async def table(cursor: AsyncCursor[Any]) -> str:
    """Rows as psql shows them, but for the widths of the columns."""
    if cursor.description is None:
        return ""
    names = [column.name for column in cursor.description]
    rows = [["" if v is None else _shown(v) for v in row] for row in await cursor.fetchall()]
    lines = [" | ".join(cells) for cells in (names, *rows)]
    lines.insert(1, "+".join("-" * (len(name) + 2) for name in names))
    count = f"({len(rows)} row{'' if len(rows) == 1 else 's'})"
    return "\n".join([*lines, count]) + "\n"


def _shown(value: object) -> str:
    return {True: "t", False: "f"}[value] if isinstance(value, bool) else str(value)
