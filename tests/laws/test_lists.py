"""A page of a list costs the same however many runs there are, how rare they are, how deep it is.

Each filter is served by an index that holds the page in order. That index is named here, and what
a page reads is counted, on a hundred thousand runs with common values, rare ones, and values that
only the oldest runs have. And whatever finds a page, it has the runs that its filters say.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from squid_mesh import ENDED, RunStatus
from squid_mesh.inspection.listing import Filters, Place
from squid_mesh.inspection.reader import Reader
from squid_mesh.store.connections import snapshot
from squid_mesh.store.statements import Statements
from tests.clock import every, one
from tests.crowd import crowd
from tests.database import Databases
from tests.laws.test_plans import indexes

MANY = 100_000
PAGE = 50
A_PAGE_READS = 6_000
"""Blocks, of 20,000 in the tables and as many in their indexes: it looks at 20 workflows."""

A_SKIP_READS = 7
"""Blocks, from one kind of run to the next: an index is entered, and a row is seen to be there."""

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LAST = FIRST + timedelta(seconds=MANY)
ANYTHING: dict[str, Any] = dict.fromkeys(
    ("workflow", "status", "trigger", "step", "tags", "since", "until", "replayed_from")
)
A_MINUTE = {"since": FIRST + timedelta(minutes=100), "until": FIRST + timedelta(minutes=101)}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing": ("runs_listing", {}),
    "a common workflow": ("runs_resting", {"workflow": "workflow_3"}),
    "a rare workflow": ("runs_resting", {"workflow": "rare"}),
    "an old workflow": ("runs_resting", {"workflow": "old"}),
    "an unknown workflow": ("runs_resting", {"workflow": "unheard"}),
    **{f"{status} runs": ("runs_resting", {"status": status}) for status in RunStatus},
    "runs under way": ("runs_busy", {"status": "cancelling"}),
    "runs that have ended": ("runs_resting", {"status": ENDED}),
    "runs that live": ("runs_resting", {"status": set(RunStatus) - ENDED}),
    "a common trigger": ("runs_resting", {"trigger": "manual"}),
    "a rare trigger": ("runs_resting", {"trigger": "by_night"}),
    "a common step": ("steps_standing", {"step": "cool_off"}),
    "an old step": ("steps_standing", {"step": "old_wait"}),
    "a rare step": ("steps_standing", {"step": "rare"}),
    "a step under way": ("runs_busy", {"step": "work"}),
    "a common tag": ("run_tags_listing", {"tags": {"tenant": "acme"}}),
    "an old tag": ("run_tags_listing", {"tags": {"tenant": "old"}}),
    "a rare tag": ("run_tags_listing", {"tags": {"order": "4711"}}),
    "a common and a rare tag": ("run_tags_listing", {"tags": {"tenant": "acme", "order": "4711"}}),
    "the newest": ("runs_listing", {"since": LAST - timedelta(minutes=1)}),
    "the oldest": ("runs_listing", {"until": FIRST + timedelta(minutes=1)}),
    "a minute": ("runs_listing", A_MINUTE),
    "the replays of a run": ("runs_replayed", {"replayed_from": "a replayed run"}),
    "a status of a workflow": ("runs_resting", {"status": "failed", "workflow": "workflow_3"}),
    "a status that its workflow never has": (
        "runs_resting",
        {"status": "retrying", "workflow": "rare"},
    ),
    "a trigger of a workflow": ("runs_resting", {"trigger": "by_night", "workflow": "old"}),
    "a status of a trigger": ("runs_resting", {"status": "paused", "trigger": "by_night"}),
    "a rare status of a common tag": (
        "runs_resting",
        {"status": "cancelled", "tags": {"tenant": "acme"}},
    ),
    "a common status of a rare tag": (
        "run_tags_listing",
        {"status": "completed", "tags": {"order": "4711"}},
    ),
    "an old step of late": ("steps_standing", {"step": "cool_off", "since": LAST}),
    "a step in a minute": ("steps_standing", {"step": "cool_off", **A_MINUTE}),
    "a status in a minute": ("runs_resting", {"status": "failed", **A_MINUTE}),
}


@pytest.fixture(scope="module")
def many(databases: Databases) -> Generator[str]:
    with databases.fresh() as dsn:
        asyncio.run(crowd(dsn, MANY))
        yield dsn


@pytest.fixture(scope="module")
def some(databases: Databases) -> Generator[str]:
    with databases.fresh() as dsn:
        asyncio.run(crowd(dsn, 3_000))
        yield dsn


async def filters_of(dsn: str, given: dict[str, Any], **page: Any) -> Filters:
    if "replayed_from" in given:
        (source,) = await one(
            dsn,
            "select distinct replayed_from from squid_mesh.runs where replayed_from is not null",
        )
        given = given | {"replayed_from": source}
    return Filters.of(**ANYTHING | given | {"limit": PAGE, "cursor": None} | page)


@asynccontextmanager
async def looking(dsn: str) -> AsyncGenerator[AsyncConnection[Any]]:
    async with (
        await AsyncConnection.connect(dsn, autocommit=True) as connection,
        snapshot(connection),
    ):
        yield connection


class Explaining(Reader):
    """Reads plans, with what was read, in place of pages."""

    async def plan(self, connection: AsyncConnection[Any], filters: Filters) -> dict[str, Any]:
        query, parameters = await self._listing(connection, filters)
        explain = f"explain (analyze, buffers, format json) {query}"
        row = await (
            await connection.execute(explain.encode(), parameters, prepare=False)
        ).fetchone()
        assert row is not None
        plan: dict[str, Any] = row[0][0]["Plan"]
        return plan


READER = Explaining(Statements())


async def middle(dsn: str) -> str:
    """The cursor of a page as deep as half of the runs."""
    (run_id, at) = await one(
        dsn,
        "select id, inserted_at from squid_mesh.runs order by inserted_at offset %s limit 1",
        MANY // 2,
    )
    return Place(at, run_id).cursor


@pytest.mark.parametrize("deep", [False, True], ids=["first page", "deep page"])
@pytest.mark.parametrize("case", CASES)
async def test_a_page_is_read_from_an_index_that_holds_it(many: str, case: str, deep: bool) -> None:  # noqa: FBT001
    index, given = CASES[case]
    filters = await filters_of(many, given, cursor=await middle(many) if deep else None)
    async with looking(many) as connection:
        plan = await READER.plan(connection, filters)
    blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert index in indexes(plan)
    assert blocks <= A_PAGE_READS, blocks
    assert "Seq Scan" not in kinds(plan)
    for skips in nodes(plan, "Recursive Union"):
        steps = skips["Actual Rows"] + len(RunStatus)
        assert skips["Shared Hit Blocks"] + skips["Shared Read Blocks"] <= A_SKIP_READS * steps


def nodes(plan: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The nodes of a kind in a plan."""
    own = [plan] if plan["Node Type"] == kind else []
    return own + [found for part in plan.get("Plans", []) for found in nodes(part, kind)]


def kinds(plan: dict[str, Any]) -> set[str]:
    """The kinds of a plan's nodes."""
    return {plan["Node Type"]}.union(*(kinds(part) for part in plan.get("Plans", [])))


# what is on the pages

MEANING = {
    "workflow": "r.workflow = %s",
    "status": "r.status = any(%s)",
    "trigger": "r.trigger = %s",
    "step": "exists (select from squid_mesh.steps s where s.run_id = r.id and s.step = %s"
    " and s.status in ('pending', 'scheduled', 'running', 'paused'))",
    "tags": "r.tags @> %s::jsonb",
    "since": "r.inserted_at >= %s",
    "until": "r.inserted_at < %s",
    "replayed_from": "r.replayed_from = %s",
}
VALUES: list[tuple[str, Any]] = [
    ("workflow", "old"),
    ("workflow", "workflow_3"),
    ("status", ["failed"]),
    ("status", ["running", "cancelling", "paused"]),
    ("status", []),
    ("trigger", "manual"),
    ("trigger", "by_night"),
    ("step", "cool_off"),
    ("step", "work"),
    ("tags", {"tenant": "acme"}),
    ("tags", {"order": "4711"}),
    ("tags", {}),
    ("since", FIRST + timedelta(seconds=1_000)),
    ("until", FIRST + timedelta(seconds=2_000)),
    ("replayed_from", "a replayed run"),
]
ASKED = [
    dict(several)
    for several in (*combinations(VALUES, 1), *combinations(VALUES, 2), *combinations(VALUES, 3))
    if len(dict(several)) == len(several)
]


async def meant(dsn: str, filters: Filters) -> list[UUID]:
    """What the filters say, in words that need no index."""
    values = {name: value for name, value in filters.parameters(None).items() if value is not None}
    values["status"] = values.pop("statuses", None)
    given = [name for name in MEANING if values.get(name) is not None]
    if filters.statuses is None and "status" in given:
        given.remove("status")
    where = " and ".join(MEANING[name] for name in given) or "true"
    rows = await every(
        dsn,
        f"select r.id from squid_mesh.runs r where {where} order by r.inserted_at desc, r.id desc",  # noqa: S608
        *(values[name] for name in given),
    )
    return [run_id for (run_id,) in rows]


async def listed(dsn: str, filters: Filters, given: dict[str, Any], limit: int) -> list[UUID]:
    """Every page, to the last."""
    found: list[UUID] = []
    cursor = None
    while True:
        filters = await filters_of(dsn, given, limit=limit, cursor=cursor)
        async with looking(dsn) as connection:
            page = await READER.page(connection, filters)
        found += [run.id for run in page.runs]
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


async def test_pages_hold_what_their_filters_say(some: str) -> None:
    for given in ASKED:
        filters = await filters_of(some, given)
        wanted = await meant(some, filters)
        limit = max(1, len(wanted) // 3)
        assert await listed(some, filters, given, min(limit, 1000)) == wanted, given
