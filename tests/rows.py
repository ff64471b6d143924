"""All rows of all tables, to see that nothing was written."""

from typing import Any

from psycopg import AsyncConnection

_EVERYTHING = " union all ".join(
    f"select '{table}', coalesce(string_agg(t::text, e'\\n' order by t::text), '') from {table} t"  # noqa: S608
    for table in (
        "squid_mesh.runs",
        "squid_mesh.steps",
        "squid_mesh.attempts",
        "squid_mesh.audit_events",
        "squid_mesh.definitions",
        "squid_mesh.schedules",
        "squid_mesh.clock",
        "oban_jobs",
    )
)


async def everything(connection: AsyncConnection[Any]) -> dict[str, str]:
    """All rows of all tables, as text."""
    return dict(await (await connection.execute(_EVERYTHING)).fetchall())
