"""`squid-mesh status`: what it shows, and the exit code of a health check."""

import json
import signal
import socket
from typing import Any

from tests.cli import host
from tests.cli.program import run, worker
from tests.cli.test_worker import start
from tests.clock import every
from tests.database import execute
from tests.meshes import eventually, oban_on, own_pool

_NOBODYS = b"""
insert into oban_jobs (queue, worker, state) values
  ('nobodys', 'squid_mesh.host', 'available'), ('hosts', 'own', 'available')
"""


async def judged(dsn: str, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and the facts."""
    ended = await run("status", "--dsn", dsn, "--json", *options)
    facts: dict[str, Any] = json.loads(ended.out)
    assert facts["healthy"] == (ended.code == 0)
    return ended.code, facts


async def test_what_is_not_installed_is_unhealthy(dsn: str) -> None:
    execute(dsn, b"drop schema squid_mesh cascade; drop table oban_jobs")
    ended = await run("status", "--dsn", dsn)
    assert ended.code == 1
    assert ended.out.splitlines() == [
        "schema squid_mesh: not installed",
        "✗ Oban's tables are missing",
        "✗ schema 'squid_mesh' is not installed",
        "unhealthy",
    ]


async def test_a_schema_that_lacks_a_migration_is_unhealthy(dsn: str) -> None:
    execute(dsn, b"delete from squid_mesh.migrations")
    ended = await run("status", "--dsn", dsn)
    assert ended.code == 1
    assert "✗ schema 'squid_mesh' lacks migrations [1]" in ended.out


async def test_an_installation_with_a_worker_is_healthy(dsn: str) -> None:
    async with worker("connected", dsn=dsn) as process:
        pid = await process.up()
        ended = await run("status", "tests.cli.host:connected", dsn=dsn)
    assert (ended.code, ended.err) == (0, "")
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[0] == ["schema", "squid_mesh:", "up", "to", "date"]
    (state,) = [line for line in lines if line[:2] == [socket.gethostname(), str(pid)]]
    assert state[-1] == "alive"
    (tell,) = [line for line in lines if line[0] == "Tell"]
    assert tell[-2:] == ["0", "1"]  # no older definition, one worker
    (queue,) = [line for line in lines if line[0] == "second"]
    assert queue == ["second", "0", "0", "0", "1", "(5", "at", "once)"]
    assert lines[-1] == ["healthy"]


async def test_without_a_worker_an_installation_is_unhealthy(dsn: str) -> None:
    code, facts = await judged(dsn)
    assert (code, facts["problems"]) == (1, ["no worker is alive"])


async def test_a_worker_that_was_killed_is_silent_and_one_that_lives_makes_up_for_it(
    dsn: str,
) -> None:
    async with worker("connected", dsn=dsn) as process:
        await process.up()
        process.send(signal.SIGKILL)
        await process.ended()

    async def is_silent() -> bool:
        past = "select 1 from squid_mesh.workers where alive_at < now() - interval '1 second'"
        return await every(dsn, past) != []

    await eventually(is_silent)
    ended = await run("status", "tests.cli.host:connected", dsn=dsn)  # whose lease is a second
    assert ended.code == 1
    assert "silent for" in ended.out
    assert "✗ no worker is alive" in ended.out
    async with worker("connected", dsn=dsn) as process:
        await process.up()
        ended = await run("status", "tests.cli.host:connected", dsn=dsn)
    assert ended.code == 0
    assert "silent for" in ended.out


async def test_a_worker_whose_loop_is_blocked_is_unhealthy(dsn: str) -> None:
    async with worker("connected", dsn=dsn) as process:
        pid = await process.up()
        await start(dsn, host.Blocking)
        await process.begun()

        async def is_blocked() -> bool:
            past = "select 1 from squid_mesh.workers where loop_at < now() - interval '2 seconds'"
            return await every(dsn, past) != []

        await eventually(is_blocked)
        ended = await run("status", "tests.cli.host:soon_blocked", dsn=dsn)
        assert ended.code == 1
        assert f"✗ process {pid} on {socket.gethostname()} is blocked: its event loop" in ended.out
        assert "blocked for" in ended.out


async def test_a_machine_may_ask_for_its_own_workers_only(dsn: str) -> None:
    async with worker("connected", dsn=dsn) as process:
        await process.up()
        execute(dsn, _NOBODYS)
        assert (await judged(dsn))[0] == 1
        assert (await judged(dsn, "--here"))[0] == 0
        execute(dsn, b"update squid_mesh.workers set node = 'elsewhere'")
        code, facts = await judged(dsn, "--here")
    assert (code, facts["problems"]) == (1, [f"no worker is alive on {socket.gethostname()}"])


async def test_jobs_in_a_queue_that_nobody_serves_are_unhealthy(dsn: str) -> None:
    async with worker("connected", "--queues", "second", dsn=dsn) as process:
        await process.up()
        await start(dsn, host.Tell)
        code, facts = await judged(dsn)
    assert code == 1
    assert facts["problems"] == ["queue 'squid_mesh' has 1 jobs and no process takes them"]
    assert {queue["queue"]: queue["processes"] for queue in facts["queues"]} == {
        "second": 1,
        "squid_mesh": 0,
    }


async def test_steps_under_way_are_counted_whether_they_have_a_job_or_not(dsn: str) -> None:
    """One that was taken along has none."""
    async with worker("connected", dsn=dsn) as process:
        await process.up()
        for _ in range(2):
            await start(dsn, host.Held)
            await process.begun()
        execute(dsn, b"delete from oban_jobs where id = (select min(id) from oban_jobs)")
        _, facts = await judged(dsn)
        process.send(signal.SIGKILL)
        await process.ended()
    assert {queue["queue"]: queue["executing"] for queue in facts["queues"]} == {
        "second": 0,
        "squid_mesh": 2,
    }


async def test_jobs_that_are_not_ours_are_the_hosts_own_affair(dsn: str) -> None:
    execute(dsn, _NOBODYS)
    _, facts = await judged(dsn)
    assert [queue["queue"] for queue in facts["queues"]] == ["nobodys"]
    assert "queue 'nobodys' has 1 jobs and no process takes them" in facts["problems"]


async def test_a_queue_that_is_paused_everywhere_is_served_by_nobody(dsn: str) -> None:
    async with worker("connected", dsn=dsn) as process:
        await process.up()
        async with own_pool(dsn) as pool, oban_on(pool, {}) as oban:

            async def is_paused() -> bool:
                await oban.pause_queue("second")  # again: an Oban listens a moment after its start
                paused = "select 1 from oban_producers where (meta ->> 'paused')::bool"
                return await every(dsn, paused) != []

            await eventually(is_paused)
        await start(dsn, host.Second)
        ended = await run("status", "--dsn", dsn)
    assert "1 (5 at once), 1 paused" in ended.out
    assert "✗ queue 'second' has 1 jobs and no process takes them" in ended.out


async def test_a_step_that_has_been_ready_for_long_is_unhealthy(dsn: str) -> None:
    async with worker("connected", "--queues", "second", dsn=dsn) as process:
        await process.up()
        await start(dsn, host.Tell)
        execute(dsn, b"update oban_jobs set state = 'scheduled'")
        assert (await judged(dsn, "--late", "600"))[0] == 0
        execute(dsn, b"update squid_mesh.clock set shift = shift + interval '1 hour'")
        code, facts = await judged(dsn)
        assert code == 1
        assert facts["problems"][0].startswith("a step has been ready for 3")
        assert facts["work"]["late"] > 3600
        assert (await judged(dsn, "--late", "7200"))[0] == 0


async def test_steps_that_fit_no_code_are_shown(dsn: str) -> None:
    await start(dsn, host.Tell)
    execute(
        dsn, b"update squid_mesh.steps set due_at = null, needs = 'old:action' where step = 'work'"
    )
    ended = await run("status", "--dsn", dsn)
    assert "1 steps wait for code that fits them." in ended.out


async def test_a_database_that_cannot_be_reached_is_unhealthy() -> None:
    ended = await run("status", "--dsn", "postgresql://nobody@127.0.0.1:1/app")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("Error: the database can't be reached")
