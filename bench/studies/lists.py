"""How long a page of `list_runs` takes among very many runs: rare values and deep pages too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from bench.load import percentile
from squid_mesh import ENDED, Mesh, RunStatus
from tests.clock import every
from tests.crowd import crowd

ROUNDS = 40
FIRST = datetime(2026, 1, 1, tzinfo=UTC)

REPLAYED = """
select distinct replayed_from from squid_mesh.runs where replayed_from is not null
"""

FILTERS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "workflow, common": {"workflow": "workflow_3"},
    "workflow, rare": {"workflow": "rare"},
    "workflow, only old runs": {"workflow": "old"},
    **{f"status, {status}": {"status": status} for status in RunStatus},
    "status, all that have ended": {"status": ENDED},
    "status, all that live": {"status": set(RunStatus) - ENDED},
    "trigger, common": {"trigger": "manual"},
    "trigger, rare": {"trigger": "by_night"},
    "step, common": {"step": "cool_off"},
    "step, only old runs": {"step": "old_wait"},
    "step, rare": {"step": "rare"},
    "tag, common": {"tags": {"tenant": "acme"}},
    "tag, only old runs": {"tags": {"tenant": "old"}},
    "tag, rare": {"tags": {"order": "4711"}},
    "two tags": {"tags": {"tenant": "acme", "order": "4711"}},
    "an hour": {"since": FIRST + timedelta(hours=1), "until": FIRST + timedelta(hours=2)},
    "workflow and status": {"workflow": "workflow_3", "status": "failed"},
    "tag and rare status": {"tags": {"tenant": "acme"}, "status": "cancelled"},
}


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of each first page, and of each one 500 pages deep (none when there is no such)."""

    first: list[float]
    deep: list[float]

    def __str__(self) -> str:
        return f"first page {_shown(self.first)}   500 pages deep {_shown(self.deep)}"


def _shown(seconds: list[float]) -> str:
    if not seconds:
        return "–"
    return f"p50 {percentile(seconds, 50):5.1f} p95 {percentile(seconds, 95):5.1f} ms"


async def lists(dsn: str, *, runs: int) -> dict[str, Took]:
    """What each filter takes, on pages of 50. The mesh isn't started: it only looks."""
    async with AsyncConnectionPool[AsyncConnection[Any]](dsn, open=False) as pool:
        mesh = Mesh(pool, oban=Oban(pool=pool, name="lists"), workflows=[])
        await mesh.install()
        await crowd(dsn, runs)
        ((source,),) = await every(dsn, REPLAYED)
        filters = FILTERS | {"replays": {"replayed_from": source}}
        return {name: await _took(mesh, given) for name, given in filters.items()}


async def _took(mesh: Mesh, given: Mapping[str, Any]) -> Took:
    cursor = None
    for _ in range(25):  # of a thousand runs each
        page = await mesh.list_runs(**given, limit=1000, cursor=cursor)
        cursor = page.next_cursor
        if cursor is None:
            return Took(await _pages(mesh, given, None), [])
    return Took(await _pages(mesh, given, None), await _pages(mesh, given, cursor))


async def _pages(mesh: Mesh, given: Mapping[str, Any], cursor: str | None) -> list[float]:
    seconds: list[float] = []
    for _ in range(ROUNDS):
        began = perf_counter()
        await mesh.list_runs(**given, limit=50, cursor=cursor)
        seconds.append(perf_counter() - began)
    return seconds
