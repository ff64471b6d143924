"""The items of the original's behaviour, in our words, and where this project differs from them."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("items.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that the original does.

    * `differs`: how it is here, on purpose, and why.
    * `planned`: what isn't here yet.
    """

    number: str
    what: str
    differs: str | None = None
    planned: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """Items about one thing."""

    title: str
    items: tuple[Item, ...]


def sections(file: Path = FILE) -> tuple[Section, ...]:
    """What the table says. Raises `TypeError` for an entry that isn't one of `Item`."""
    table: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(
        Section(
            section["title"],
            tuple(Item(number=number, **facts) for number, facts in section["items"].items()),
        )
        for section in table["sections"]
    )
