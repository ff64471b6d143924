"""Installs and upgrades the schema: numbered SQL files, each applied once, all or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import scalar_row

from squid_mesh.errors import NotInstalled
from squid_mesh.store.statements import Statements

_LOCK = 0x53515549  # "SQUI": one migration at a time in a database

_LEDGER = """
create schema if not exists {schema};
create table if not exists {schema}.migrations (
  version integer primary key,
  name text not null,
  applied_at timestamptz not null default pg_catalog.now()
);
"""


_NOTE = "insert into {schema}.migrations (version, name) values "


@dataclass(frozen=True, slots=True)
class Script:
    """A migration as SQL that needs nothing else, for whatever applies a host's own migrations.

    It waits for others that migrate, and enters itself into the ledger that `check` reads. Where it
    was applied before it fails there, and changes nothing if it runs in a transaction.
    """

    number: int
    name: str
    sql: str


def scripts(statements: Statements) -> list[Script]:
    """Every migration, in order, each to be run in a transaction of its own."""
    return [_script(statements, number, name) for number, name in available().items()]


def _script(statements: Statements, number: int, file: str) -> Script:
    parts = (
        f"select pg_advisory_xact_lock({_LOCK});",
        statements.fill(_LEDGER).strip(),
        statements.fill(f"{_NOTE}({number}, '{file}');"),
        _text(statements, file).strip(),
    )
    return Script(number, file.removesuffix(".sql"), "\n\n".join(parts) + "\n")


def available() -> dict[int, str]:
    """The migrations of this version of the code: number → file name."""
    folder = files("squid_mesh.store").joinpath("migrations")
    return {
        int(file.name[:4]): file.name for file in sorted(folder.iterdir(), key=lambda f: f.name)
    }


async def migrate(connection: AsyncConnection[Any], statements: Statements) -> list[str]:
    """Apply what is missing, in one transaction; the names of what was applied.

    Safe to run twice and from several processes at once: they queue on an advisory lock.
    """
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        await connection.execute(statements.fill(_LEDGER))
        applied = await _applied(connection, statements)
        missing = {n: name for n, name in available().items() if n not in applied}
        for number, name in missing.items():
            await connection.execute(_text(statements, name))
            await connection.execute(
                statements.fill(_NOTE + "(%s, %s)"),
                (number, name),
            )
    return list(missing.values())


async def check(connection: AsyncConnection[Any], statements: Statements) -> None:
    """Raise `NotInstalled`, with what to run, unless the schema is there and up to date."""
    missing = await lacking(connection, statements)
    if missing is None:
        raise NotInstalled(
            f"schema {statements.schema!r} is not installed: run `squid-mesh migrate`, or "
            "`await mesh.migrate()`, once in your deployment, or pass install=True to Mesh.connect"
        )
    if missing:
        raise NotInstalled(
            f"schema {statements.schema!r} lacks migrations {missing}: run `squid-mesh migrate`, "
            "or `await mesh.migrate()`, in your deployment"
        )


async def lacking(connection: AsyncConnection[Any], statements: Statements) -> list[int] | None:
    """The numbers of the migrations that are missing; None when there is no schema at all."""
    cursor = connection.cursor(row_factory=scalar_row)
    await cursor.execute("select to_regclass(%s)", (f'"{statements.schema}".migrations',))
    if await cursor.fetchone() is None:
        return None
    return sorted(available().keys() - await _applied(connection, statements))


async def _applied(connection: AsyncConnection[Any], statements: Statements) -> set[int]:
    cursor = connection.cursor(row_factory=scalar_row)
    await cursor.execute(statements.fill("select version from {schema}.migrations"))
    return set(await cursor.fetchall())


def _text(statements: Statements, name: str) -> Any:
    path = files("squid_mesh.store").joinpath("migrations").joinpath(name)
    return statements.fill(path.read_text(encoding="utf-8"))
