"""`docs/conformance.md`: every item with its tests, or with why it is otherwise here."""

from collections.abc import Mapping, Sequence

from tests.conformance.items import Item, Section
from tests.conformance.shown import ROOT, Shown

FILE = ROOT / "docs" / "conformance.md"

_HEAD = """\
# Conformance

Squid Mesh for Python follows the Elixir original in what it does. This page lists the original's
behaviour item by item (the numbers are those of the project's own notes; S168 to S170 were never
used), each with the tests that show it here. Where this project does otherwise, a sentence says how
and why; a test beside it shows what is done instead. What isn't there yet says so.

{counts}

Made from the markers of the tests by `./dev python -m tests.conformance`. Don't edit it.
"""

type Tests = Mapping[str, Sequence[Shown]]


def problems(sections: Sequence[Section], tests: Tests) -> list[str]:
    """What keeps the page from being written, in sentences."""
    items = [item for section in sections for item in section.items]
    known = {item.number for item in items}
    twice = {number for number in known if [i.number for i in items].count(number) > 1}
    return [
        *(f"{number} stands in the table twice" for number in sorted(twice)),
        *(f"a test shows {number}, which is no item" for number in sorted(tests.keys() - known)),
        *(
            f"{item.number} has no test and no reason: {item.what}"
            for item in items
            if not (tests.get(item.number) or item.differs or item.planned)
        ),
    ]


def page(sections: Sequence[Section], tests: Tests) -> str:
    """The page."""
    parts = [_HEAD.format(counts=_counts(sections, tests))]
    for section in sections:
        parts.append(f"## {section.title}\n")
        parts += [_item(item, tests.get(item.number, ())) for item in section.items]
    return "\n".join(parts)


def _counts(sections: Sequence[Section], tests: Tests) -> str:
    items = [item for section in sections for item in section.items]
    count = len(items)
    tested = sum(item.number in tests for item in items)
    differs = sum(item.differs is not None for item in items)
    planned = sum(item.planned is not None for item in items)
    return (
        f"Of {count} items {tested} are shown by tests; {differs} differ in something, on purpose; "
        f"{planned} are not there yet, or not whole."
    )


def _item(item: Item, tests: Sequence[Shown]) -> str:
    lines = [f"**{item.number}** {item.what}", ""]
    if item.differs is not None:
        lines += [f"*Here:* {item.differs}", ""]
    if item.planned is not None:
        lines += [f"*Not yet:* {item.planned}", ""]
    lines += [_test(test) for test in tests]
    return "\n".join(lines).rstrip() + "\n"


def _test(shown: Shown) -> str:
    cases = f": {', '.join(shown.cases)}" if shown.cases else ""
    return f"- [{_sentence(shown.test)}](../{shown.file}){cases}"


def _sentence(test: str) -> str:
    """A test's name as it is read."""
    words = f"{test.removeprefix('test_')}_"
    for end in ("s", "t"):
        words = words.replace(f"_{end}_", f"’{end}_")
    return words.strip("_").replace("_", " ")
