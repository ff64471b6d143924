"""How Postgres executes our statements: the very plans, as `auto_explain` tells their connection.

So nothing is explained in a statement's place: its parameters, its connection's settings and
whether its plan is made for any parameters are those that it has in the engine.
"""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import Diagnostic

from tests.laws.worlds import STATEMENTS

LARGE = {"runs", "steps", "attempts", "audit_events", "run_tags", "oban_jobs"}
"""The tables that grow with what is done."""

_EXPLAIN = """
load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_format = 'json';
set auto_explain.log_level = 'notice'; set auto_explain.log_nested_statements = on;
set auto_explain.log_analyze = on; set auto_explain.log_timing = off
"""


@dataclass
class Plans:
    """What was executed: which indexes each of our statements used, and how many rows it read.

    `all of …` is an index that was read without a condition, or a table without an index. What the
    checks and cascades of foreign keys do is `inner`.
    """

    used: dict[str, set[str]] = field(default_factory=dict)
    inner: set[str] = field(default_factory=set)
    rows: dict[str, int] = field(default_factory=dict)

    def hear(self, told: Diagnostic) -> None:
        """One plan."""
        _, found, document = (told.message_primary or "").partition("plan:\n")
        if not found:
            return
        executed = json.loads(document)
        scans = list(_scans(executed["Plan"]))
        name = _NAMES.get(executed["Query Text"].split("\n", 1)[0])
        if name is None:
            self.inner |= {how for how, _ in scans}
            return
        self.used[name] = self.used.get(name, set()) | {how for how, _ in scans}
        self.rows[name] = max(self.rows.get(name, 0), sum(rows for _, rows in scans))


@asynccontextmanager
async def explained(connection: AsyncConnection[Any]) -> AsyncGenerator[Plans]:
    """The plans of what a connection executes meanwhile."""
    plans = Plans()
    await connection.execute(_EXPLAIN.encode(), prepare=False)
    connection.add_notice_handler(plans.hear)
    try:
        yield plans
        await connection.execute("select")  # in a transaction, a plan is told with what comes next
    finally:
        connection.remove_notice_handler(plans.hear)


def _scans(plan: dict[str, Any], table: str = "") -> Iterator[tuple[str, int]]:
    """How each large table is read, and how many of its rows are."""
    table = plan.get("Relation Name", table)
    if table in LARGE and plan["Node Type"].endswith("Scan") and (how := _how(plan, table)):
        yield how, _rows(plan)
    for part in plan.get("Plans", []):
        yield from _scans(part, table)


def _how(plan: dict[str, Any], table: str) -> str:
    index = plan.get("Index Name")
    if index is None:
        return f"all of {table}" if plan["Node Type"] == "Seq Scan" else ""
    return str(index) if "Index Cond" in plan else f"all of {index}"


def _rows(plan: dict[str, Any]) -> int:
    found: float = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    loops: int = plan["Actual Loops"]
    return round(found * loops)


_NAMES = {text.split("\n", 1)[0]: name for name, text in STATEMENTS._all.items()}
"""Our statements, by their first lines."""
