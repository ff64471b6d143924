"""`squid-mesh migrate`: applies to a database what it lacks."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from squid_mesh.cli.place import Place, connected
from squid_mesh.dispatch import oban as dispatch
from squid_mesh.store import migrations


async def migrate(place: Place, *, with_oban: bool) -> list[str]:
    """Apply what is missing, all or nothing; in a sentence each what was done."""
    async with connected(place.dsn) as connection, connection.transaction():
        said = await _oban(connection, place.statements.oban, wanted=with_oban)
        applied = await migrations.migrate(connection, place.statements)
    return said + [f"applied {name} to schema {place.statements.schema}" for name in applied]


async def _oban(connection: AsyncConnection[Any], prefix: str, *, wanted: bool) -> list[str]:
    is_there = await dispatch.is_installed(connection, prefix)
    if wanted:
        await dispatch.install(connection, prefix)  # which adds what a newer Oban needs, too
        return [] if is_there else [f"installed Oban in schema {prefix}"]
    return [] if is_there else [f"Oban's tables are not in schema {prefix}: --oban installs them"]
