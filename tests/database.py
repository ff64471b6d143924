"""Databases for tests: one server a session, one template with every schema, one copy a test."""

import asyncio
import contextlib
import os
from collections.abc import Generator
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from oban.schema import install_sql
from psycopg.sql import SQL, Composed, Identifier

from squid_mesh import embedded
from squid_mesh.store import migrations
from squid_mesh.store.statements import Statements


@contextlib.contextmanager
def server() -> Generator[str]:
    """Give the DSN of a server: the one named by SQUID_MESH_TEST_DSN, or an embedded one."""
    if given := os.environ.get("SQUID_MESH_TEST_DSN"):
        yield given
    else:
        with embedded.server(durable=False) as dsn:
            yield dsn


@dataclass(frozen=True, slots=True)
class Databases:
    """The databases of a session on one server, all copies of one template."""

    server: str
    template: str

    @contextlib.contextmanager
    def fresh(self) -> Generator[str]:
        """Make a database for one test, give its DSN, and drop it whoever is still connected."""
        name = f"{self.template}_{uuid4().hex[:8]}"
        make = SQL("create database {} template {}")
        execute(self.server, make.format(Identifier(name), Identifier(self.template)))
        try:
            yield dsn_of(self.server, name)
        finally:
            drop(self.server, name)


@contextlib.contextmanager
def databases(server: str) -> Generator[Databases]:
    """Prepare a template on the server. Its name is new: sessions may share a server."""
    template = f"squid_mesh_test_{uuid4().hex[:8]}"
    execute(server, SQL("create database {}").format(Identifier(template)))
    try:
        prepare(dsn_of(server, template))
        yield Databases(server, template)
    finally:
        drop(server, template)


def prepare(dsn: str) -> None:
    """Install what every test finds in its database: Oban's schema and ours."""
    execute(dsn, install_sql().encode())
    asyncio.run(migrate(dsn))


async def migrate(dsn: str) -> None:
    """Install our schema, as a deployment would."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await migrations.migrate(connection, Statements())


def dsn_of(server: str, database: str) -> str:
    """Name another database of the server, which has to be given as a URL."""
    return urlsplit(server)._replace(path=f"/{database}").geturl()


def drop(server: str, database: str) -> None:
    execute(server, SQL("drop database if exists {} with (force)").format(Identifier(database)))


def execute(dsn: str, statements: bytes | Composed) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statements)
