"""A host's pool through PgBouncer in transaction mode, and the engine's connections around it."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from squid_mesh import (
    ENDED,
    InvalidConfig,
    Mesh,
    NoPayload,
    RunStatus,
    Workflow,
    approval,
    complete,
    connection,
    step,
)
from tests.clock import every, one
from tests.meshes import BOUND, QUEUE, Workflows, eventually, oban_on, own_pool, play
from tests.trouble.load import WORKFLOWS, Chain, Fan, Tally
from tests.trouble.pgbouncer import bounced, environment

PAGE = Path(__file__).parents[2] / "docs" / "pgbouncer.md"
UNPREPARED: dict[str, Any] = {"kwargs": {"prepare_threshold": None}}


async def note(conn: AsyncConnection[Any]) -> str:
    await conn.execute("insert into notes default values")
    return "noted"


class Noted(Workflow[NoPayload]):
    here = step(note).takes(connection())
    gate = approval()
    flow = (here >> gate, gate.on_approved >> complete, gate.on_rejected >> complete)


ALL: Workflows = [*WORKFLOWS, Noted]


async def test_everything_goes_through_that_can(dsn: str) -> None:
    await every(dsn, "create table notes (id bigint primary key generated always as identity)")
    async with (
        bounced(dsn) as through,
        own_pool(through, **UNPREPARED) as pool,
        own_pool(dsn, max_size=4) as obans,
    ):
        oban = oban_on(obans, {QUEUE: 20})
        mesh = Mesh(pool, oban=oban, workflows=ALL, resources=[Tally()], direct_dsn=dsn)
        async with oban, mesh:
            runs = await mesh.start_runs(Chain, [{}] * 20)
            runs += [await mesh.start_run(Fan, key=str(n)) for n in range(10)]
            async with pool.connection() as conn, conn.transaction():
                noted = [await mesh.start_run(Noted, conn=conn) for _ in range(10)]
            for run in noted:
                await mesh.wait_for_run(run.id, until=frozenset({RunStatus.PAUSED}), timeout=BOUND)
                await mesh.approve_run(run.id, actor="somebody")
            for run in [*runs, *noted]:
                ended = await mesh.wait_for_run(run.id, until=ENDED, timeout=BOUND)
                assert ended.status == "completed"
            cancelled = await mesh.start_run(Noted)
            await mesh.wait_for_run(
                cancelled.id, until=frozenset({RunStatus.PAUSED}), timeout=BOUND
            )
            assert (await mesh.cancel_run(cancelled.id)).status == "cancelled"
            assert len((await mesh.list_runs(limit=100)).runs) == 41
            assert (await mesh.explain_run(runs[0].id)) is not None
            settings = "select current_setting('lock_timeout'), current_setting('enable_seqscan')"
            for _ in range(8):
                assert await one(through, settings) == ("0", "on"), "nothing of ours leaks"
    assert await one(dsn, "select count(*) from notes") == (11,)
    assert await every(dsn, "select 1 from squid_mesh.attempts where status = 'interrupted'") == []


async def test_a_mesh_that_was_not_told_a_way_around_does_not_start(dsn: str) -> None:
    async with bounced(dsn) as through, own_pool(through, **UNPREPARED) as pool:
        mesh = Mesh(pool, oban=oban_on(pool, {}), workflows=ALL, resources=[Tally()])
        with pytest.raises(InvalidConfig, match="pass direct_dsn="):
            await mesh.start()
    assert await every(dsn, "select 1 from squid_mesh.workers") == []


async def test_a_pooler_in_session_mode_is_fine_when_that_is_said(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with bounced(dsn, "session", 20) as through, own_pool(dsn) as pool:
        oban = oban_on(pool)
        mesh = Mesh(pool, oban=oban, workflows=[Chain], resources=[Tally()], direct_dsn=through)
        with caplog.at_level("WARNING", "squid_mesh"):
            async with oban, mesh:
                assert (await play(mesh, Chain)).status == "completed"
    assert "has to be in session mode" in caplog.text


async def test_a_mesh_with_its_own_pool_hears_of_jobs(dsn: str) -> None:
    """Oban listens around PgBouncer: no job waits for its stager, which looks once a second."""
    async with bounced(dsn) as through:
        mesh = Mesh.connect(
            through,
            workflows=[Chain],
            queues={QUEUE: 10},
            resources=[Tally()],
            direct_dsn=dsn,
        )
        async with mesh:
            for _ in range(3):
                assert (await play(mesh, Chain)).status == "completed"
            listening = "select 1 from pg_stat_activity where query ~ '^LISTEN.*oban'"

            async def listens() -> bool:
                return bool(await every(dsn, listening))

            await eventually(listens)


async def test_the_page_s_example_prints_what_it_says(dsn: str, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, example in re.findall(r"`(\w+\.py)`\n\n```python\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(example, encoding="utf-8")
    (printed,) = re.findall(r"It prints\n\n```\n(.*?)```", text, re.DOTALL)
    await every(dsn, "create table greetings (name text)")
    async with bounced(dsn) as through:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "main.py"),
            cwd=tmp_path,
            env=environment(POOLED_DSN=through, DIRECT_DSN=dsn),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert out.decode() == printed
    assert await every(dsn, "select name from greetings") == [("PgBouncer",)]
