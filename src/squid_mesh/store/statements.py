"""The statements of `sql/`, with a mesh's schema and its Oban's schema put in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from importlib.resources import files
from typing import Any, LiteralString, cast

from squid_mesh.definition.values import is_storable
from squid_mesh.errors import InvalidConfig, shown

_PART = re.compile(r"\{(\w+)\}")
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Statements:
    """SQL by the name of its file: `statements["claim_steps"]`.

    The two schemas are validated identifiers; everything else in a statement is a parameter. What
    statements have in common is in `sql/parts`.
    """

    def __init__(self, schema: str = "squid_mesh", oban: str = "public") -> None:
        problems = [
            f"{setting}={shown(name)} is no plain identifier: use lower-case letters, digits and _"
            for setting, name in (("schema", schema), ("oban prefix", oban))
            if not is_storable(name) or not _IDENTIFIER.fullmatch(name)
        ]
        if problems:
            raise InvalidConfig(problems)
        self.schema = schema
        self.oban = oban

    def __getitem__(self, name: str) -> LiteralString:
        return self._all[name]

    @cached_property
    def _all(self) -> dict[str, LiteralString]:
        parts = dict(_read("parts"))
        return {
            name: self.fill(_PART.sub(lambda part: parts.get(part[1], part[0]).rstrip(), text))
            for name, text in _read(".")
        }

    def fill(self, text: str) -> LiteralString:
        """SQL of ours with the schemas in it."""
        trusted: Any = text.replace("{schema}", f'"{self.schema}"')
        trusted = trusted.replace("{oban}", f'"{self.oban}"')
        return cast("LiteralString", trusted)  # bundled text, and two validated identifiers

    @property
    def channel(self) -> str:
        """Where Oban listens for new jobs."""
        return f"{self.oban}.oban_insert"

    @property
    def rest(self) -> str:
        """Where a watched run is told of that has ended or paused: its id and its status."""
        return f"{self.schema}.rest"


def _read(folder: str) -> Iterator[tuple[str, str]]:
    """The names and texts of a folder's files."""
    for file in files("squid_mesh.store").joinpath("sql", folder).iterdir():
        if file.name.endswith(".sql"):
            yield file.name.removesuffix(".sql"), file.read_text(encoding="utf-8")
