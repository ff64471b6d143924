"""Each statement that is executed for a run, a look or a sweep finds its rows by these indexes.

In a database of thirty thousand runs with their statistics, on connections as the engine makes
them: with plans for the statement's own parameters, and with those for any, which may be kept.
How little is read with plans that are older than the statistics is `test_plans`'s to say.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import pytest
from psycopg import AsyncConnection

from squid_mesh.store.connections import connect, connect_committer, connect_starter, snapshot
from squid_mesh.store.writes import Writer
from tests.clock import every
from tests.crowd import crowd
from tests.database import Databases
from tests.laws.acts import ACTS, Stage
from tests.laws.explaining import explained
from tests.laws.worlds import LONE, PAIR, STATEMENTS, hand_of, new_boot

RUNS = 30_000

_PAST = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Hot:
    """On which connections a statement is executed, by which indexes it finds what.

    `rows` are the most that it reads in its act, of all large tables together.
    """

    on: str
    uses: set[str]
    rows: int = 20


_THREE = {"runs_pkey", "steps_pkey", "oban_jobs_pkey"}
_BUSY, _DUE, _PARKED = "all of runs_busy", "all of steps_due", "all of steps_parked"
_AHEAD = "oban_jobs_state_queue_priority_scheduled_at_id_index"
_JOBS_THAT_ENDED = {f"oban_jobs_{how}_at_index" for how in ("completed", "cancelled", "discarded")}

HOT = {
    "start_runs": Hot("starter engine host", set()),
    "find_start": Hot("engine", {"runs_pkey"}),
    "find_by_key": Hot("host", {"runs_key"}),
    "claim_steps": Hot("committer", {"runs_pkey", "steps_pkey"}),
    "take_steps": Hot("committer", {_AHEAD, *_THREE}),
    "advance_chain": Hot("committer", _THREE),
    "advance_steps": Hot("committer engine", _THREE),
    "find_applied": Hot("committer", {"runs_pkey", "steps_pkey"}),
    "load_outputs": Hot("committer", {"steps_pkey"}),
    "enter_transaction": Hot("host", {"steps_pkey"}),
    "stage_jobs": Hot("engine", {"oban_jobs_pkey"}),
    "return_job": Hot("engine", {"oban_jobs_pkey"}),
    "lock_run": Hot("engine host", {"runs_pkey"}),
    "fail_run": Hot("engine host", _THREE),
    "cancel_run": Hot("host", _THREE),
    "decide_step": Hot("engine host", _THREE),
    "read_paused": Hot("engine host", {"runs_pkey", "steps_pkey"}),
    "find_event": Hot("host", {"audit_events_key"}),
    "note_event": Hot("engine host", set()),
    "heartbeat": Hot("engine", set()),
    "find_interrupted": Hot("engine", {_BUSY, "steps_pkey", "attempts_pkey"}, rows=500),
    "retry_interrupted": Hot("engine", {"runs_pkey", "steps_pkey"}),
    "requeue_overdue": Hot("engine", {"steps_due", *_THREE}, rows=500),
    "queue_schedules": Hot("engine", {"oban_jobs_pkey"}),
    "find_parked": Hot("engine", {_PARKED, "runs_pkey"}),
    "release_parked": Hot("engine", {_PARKED, "steps_parked", "runs_pkey"}),
    "find_oldest_due": Hot("engine host", {_DUE, _PARKED}),
    "watch_runs": Hot("engine", {"runs_pkey"}),
    "get_statuses": Hot("engine", {"runs_pkey"}),
    "get_run": Hot("host reader", {"runs_pkey", "steps_pkey"}),
    "get_steps": Hot("reader", {"steps_pkey"}),
    "get_attempts": Hot("reader", {"attempts_pkey", "steps_pkey"}),
    "get_audit_events": Hot("reader", {"audit_events_of_run"}),
    "read_run_facts": Hot("reader", {"runs_pkey", "audit_events_of_run"}),
    "read_secrets": Hot("reader", {"runs_pkey", "steps_pkey"}),
    "find_unfinished_steps": Hot("reader", {"steps_pkey", "attempts_pkey"}),
    "find_jobs": Hot("reader", {"oban_jobs_pkey", _AHEAD}, rows=500),
    "prune_runs": Hot("engine host", {"runs_listing", "runs_pkey"}, rows=100),
    "prune_jobs": Hot("engine host", {"oban_jobs_pkey", *_JOBS_THAT_ENDED}, rows=5000),
}

LISTS = {name for name in STATEMENTS._all if name.startswith("find_by_")} - HOT.keys() | {
    "find_at_step",
    "find_newest",
    "find_rarest_tag",
    "find_replays",
    "list_runs",
}
"""What `test_lists` is about."""

OF_SMALL_TABLES = {
    "add_schedules",
    "begin_boot",
    "claim_window",
    "end_boot",
    "end_transaction",
    "find_declaring_schedule",
    "find_declaring_worker",
    "find_leases",
    "find_producers",
    "find_transaction",
    "list_definitions",
    "list_schedules",
    "list_workers",
    "load_definition",
    "lock_schedules",
    "lock_window",
    "name_transaction",
    "pass_window",
    "pause_schedule",
    "postpone_window",
    "read_schedule",
    "read_shift",
    "record_failed_windows",
    "register_definition",
    "rest_schedule",
    "set_window",
}
"""Of definitions, processes, schedules and their few jobs; or of no table at all."""

OF_A_STATUS_PAGE = {"list_queues"}
"""Counts all live jobs: for people, once in a while."""


@pytest.fixture(scope="module")
def large(databases: Databases) -> Generator[tuple[str, Writer]]:
    with databases.fresh() as dsn:
        yield dsn, asyncio.run(_grown(dsn))


async def _grown(dsn: str) -> Writer:
    await crowd(dsn, RUNS)
    await every(dsn, _PAST)
    for shape in (LONE, PAIR):
        await shape.install(dsn)
    await every(dsn, "analyze")
    return await new_boot(dsn)


@pytest.fixture
async def stage(large: tuple[str, Writer]) -> AsyncGenerator[Stage]:
    dsn, writer = large
    async with hand_of(dsn, writer) as hand:
        yield Stage(dsn, hand)


@asynccontextmanager
async def connected(dsn: str, kind: str) -> AsyncGenerator[AsyncConnection[Any]]:
    """A connection, as a process makes it for this."""
    match kind:
        case "committer":
            connecting = connect_committer(dsn)
        case "starter":
            connecting = connect_starter(dsn)
        case "engine":
            connecting = connect(dsn)
        case _:
            connecting = AsyncConnection.connect(dsn, autocommit=True)
    async with await connecting as connection:
        if kind != "reader":
            yield connection
            return
        async with snapshot(connection):
            yield connection


_MODES: dict[str, LiteralString] = {
    "for these parameters": "set plan_cache_mode = force_custom_plan",
    "for any parameters": "set plan_cache_mode = force_generic_plan",
    "as it says": "select",
}


CASES = [
    (statement, kind, mode)
    for statement, hot in HOT.items()
    for kind in hot.on.split()
    for mode in _MODES
    if (kind == "committer") == (mode == "as it says")
]


@pytest.mark.parametrize(("statement", "kind", "mode"), CASES)
async def test_it_finds_its_rows_by_these_indexes(
    stage: Stage, statement: str, kind: str, mode: str
) -> None:
    hot = HOT[statement]
    act = await ACTS[statement](stage)
    async with connected(stage.dsn, kind) as connection:
        await connection.execute(_MODES[mode])
        async with explained(connection) as plans:
            await act(connection)
    assert plans.used[statement] == hot.uses
    assert plans.rows[statement] <= hot.rows
    assert {how for how in plans.inner if how.startswith("all of")} == set()


def test_every_statement_is_looked_at() -> None:
    kinds = [set(HOT), LISTS, OF_SMALL_TABLES, OF_A_STATUS_PAGE]
    assert sorted(name for kind in kinds for name in kind) == sorted(STATEMENTS._all)
