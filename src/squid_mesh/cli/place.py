"""Which installation a command is about: a mesh's, or one named by its DSN and schemas."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection, Error, OperationalError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from squid_mesh.cli import target
from squid_mesh.cli.complaints import Complaint, unreachable
from squid_mesh.cli.parts import Parts, parts_of
from squid_mesh.inspection.health import Patience
from squid_mesh.store.statements import Statements

PATIENCE = 10
"""Seconds that Postgres has to answer, unless the DSN says otherwise."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a command line says of the place."""

    target: str | None
    dsn: str | None
    schema: str | None
    oban_prefix: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """A database, and the schemas in it."""

    dsn: str = field(repr=False)
    statements: Statements
    patience: Patience

    @classmethod
    def of(cls, parts: Parts, dsn: str | None = None) -> Place:
        """Where a mesh's tables are; `dsn` leads there as somebody who may do more."""
        patience = Patience(lease=parts.settings.lease, blocked=parts.settings.blocked)
        return cls(dsn or parts.settings.dsn, parts.statements, patience)


@asynccontextmanager
async def place_of(named: Named) -> AsyncGenerator[Place]:
    """The place that a command line names. Raises `Complaint`."""
    match named:
        case Named(target=None, dsn=None):
            raise Complaint(
                "which database?", "name a mesh, as in app.workflows:mesh, or give --dsn"
            )
        case Named(target=None, dsn=str(dsn)):
            schemas = named.schema or "squid_mesh", named.oban_prefix or "public"
            yield Place(dsn, Statements(*schemas), Patience())
        case Named(target=str(text), schema=None, oban_prefix=None):
            wanted = target.parse(text)
            async with target.mesh_of(wanted, target.load(wanted)) as mesh:
                yield Place.of(parts_of(mesh), named.dsn)
        case _:
            raise Complaint(
                f"--schema and --oban-prefix are what {named.target} says they are",
                "leave them out",
            )


@asynccontextmanager
async def connected(dsn: str) -> AsyncGenerator[AsyncConnection[Any]]:
    """A connection that commits each statement by itself. Raises `Complaint`."""
    try:
        connection = await AsyncConnection.connect(
            _patient(dsn), autocommit=True, application_name="squid-mesh"
        )
    except OperationalError as error:
        raise unreachable(error) from None
    async with connection:
        yield connection


def _patient(dsn: str) -> str:
    """The DSN with a bound on how long connecting takes. Raises `Complaint`, without the DSN."""
    try:
        given = conninfo_to_dict(dsn)
    except Error:
        scheme = dsn.partition("://")[0]
        hint = (
            f"{scheme}:// is SQLAlchemy's: write postgresql://"
            if "+" in scheme
            else "write postgresql://user@host:5432/database"
        )
        raise Complaint("the DSN can't be read", hint) from None
    return make_conninfo(dsn, **{"connect_timeout": PATIENCE} | given)
