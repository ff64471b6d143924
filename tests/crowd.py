"""A great many runs, made by Postgres itself: what lists are measured on."""

from pathlib import Path

from tests.clock import every

_RUNS = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")

_REPLAYS = """
update squid_mesh.runs
set replayed_from = (select id from squid_mesh.runs where workflow = 'rare' limit 1)
where inserted_at < timestamptz '2026-01-01' + interval '10 seconds'
"""


async def crowd(dsn: str, count: int) -> None:
    """So many runs in an empty schema, with their statistics."""
    await every(dsn, _RUNS, count, count)
    await every(dsn, _REPLAYS)
    await every(dsn, "analyze")
