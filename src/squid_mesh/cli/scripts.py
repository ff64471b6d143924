"""What `squid-mesh install` writes: each migration, named so that it is known again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from squid_mesh.dispatch import oban as dispatch
from squid_mesh.store import migrations
from squid_mesh.store.statements import Statements

LONGEST_ID = 32
"""Characters that Alembic has room for in its table."""

_PART = re.compile(
    r"""--[^\n]* | /\*.*?\*/                        # comments
      | '(?:[^']|'')*' | "(?:[^"]|"")*"             # text and names
      | (?P<tag>\$\w*\$).*?(?P=tag)                 # dollar-quoted text
      | ; | [^;'"$/-]+ | .""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration. `id` is the same for the same one, wherever and whenever it is written."""

    id: str
    title: str
    up: str
    down: str | None
    """What takes it back, None where nothing does."""


def all_migrations(statements: Statements, *, with_oban: bool) -> list[Migration]:
    """What a host has to apply, in order."""
    ours = [_ours(script, statements.schema) for script in migrations.scripts(statements)]
    return [_obans(statements.oban), *ours] if with_oban else ours


def statements_of(script: str) -> Iterator[str]:
    """The statements of a script, one by one: drivers that prepare them take no more."""
    statement = ""
    for part in _PART.finditer(script):
        if part[0] != ";":
            statement += part[0]
            continue
        yield statement.strip()
        statement = ""
    if statement.strip():
        yield statement.strip()


def _ours(script: migrations.Script, schema: str) -> Migration:
    first = script.number == 1
    return Migration(
        id=_id(schema, f"_{script.number:04}"),
        title=f"Squid Mesh {script.name} in schema {schema}",
        up=script.sql,
        down=f'drop schema "{schema}" cascade;' if first else None,
    )


def _obans(prefix: str) -> Migration:
    """Oban's tables. It numbers no migrations: the script of another version is another one."""
    script = dispatch.install_script(prefix)
    digest = sha256(script.encode()).hexdigest()[:8]
    return Migration(
        id=f"oban_{digest}",
        title=f"Oban's tables in schema {prefix}",
        up=script,
        down=dispatch.uninstall_script(prefix),
    )


def _id(schema: str, number: str) -> str:
    """The schema and the number, shortened where there is no room for a long name."""
    room = LONGEST_ID - len(number)
    if len(schema) > room:
        digest = sha256(schema.encode()).hexdigest()[:8]
        schema = f"{schema[: room - 9]}_{digest}"
    return schema + number
