"""Workers as processes: what they run, and how they end."""

import asyncio
import os
import signal
import socket
import sys
import time
from uuid import UUID

import psutil
import pytest

from squid_mesh import NoPayload, Workflow
from tests.cli import host
from tests.cli.program import run, worker
from tests.clock import every, one
from tests.database import execute
from tests.meshes import eventually, on_host

SOON = 5.0
"""Seconds that a machine with other things to do may take on top of what is promised."""


async def start(dsn: str, workflow: type[Workflow[NoPayload]], count: int = 1) -> list[UUID]:
    """Start runs where nobody drives them but the workers."""
    async with on_host(dsn, host.WORKFLOWS, queues={}) as mesh:
        return [run.id for run in await mesh.start_runs(workflow, [{}] * count)]


async def outputs(dsn: str) -> list[str]:
    """What the steps returned, once all runs have completed."""

    async def are() -> bool:
        statuses = await every(dsn, "select distinct status from squid_mesh.runs")
        return statuses == [("completed",)]

    await eventually(are)
    return [output for (output,) in await every(dsn, "select output from squid_mesh.steps")]


async def step_of(dsn: str) -> tuple[str, int]:
    """Where the only step stands."""
    status, attempt = await one(dsn, "select status, attempt from squid_mesh.steps")
    return status, attempt


@pytest.mark.parametrize(
    "target",
    ["connected", "on_own_pool", "made", "made_later", "around", "with_open_pool", "all_open"],
)
async def test_a_worker_drives_runs_of_any_form_of_mesh_and_ends_on_sigterm(
    dsn: str, target: str
) -> None:
    await start(dsn, host.Tell)
    async with worker(target, dsn=dsn) as process:
        await process.up()
        await outputs(dsn)
        process.send(signal.SIGTERM)
        ended = await process.ended()
    assert ended.code == 0
    assert ("closed around" in ended.err) == (target in {"around", "with_open_pool", "all_open"})
    assert "SIGTERM: draining; a second signal ends it at once" in ended.err
    assert ended.err.splitlines()[-1].endswith("down")
    assert await every(dsn, "select 1 from squid_mesh.workers") == []


async def test_a_worker_uses_uvloop_where_it_is_installed(dsn: str) -> None:
    await start(dsn, host.Tell)
    async with worker("connected", dsn=dsn) as process:
        pid = await process.up()
        assert await outputs(dsn) == [f"uvloop {pid}"]


async def test_a_worker_does_without_uvloop(dsn: str) -> None:
    await start(dsn, host.Tell)
    without = "import sys; sys.modules['uvloop'] = None; from squid_mesh.cli import main; main()"
    async with worker("connected", dsn=dsn, command=[sys.executable, "-c", without]) as process:
        pid = await process.up()
        assert await outputs(dsn) == [f"asyncio.unix_events {pid}"]
        process.send(signal.SIGINT)
        assert (await process.ended()).code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_a_worker_does_is_finished_when_it_is_told_to_end(
    dsn: str, number: signal.Signals
) -> None:
    await start(dsn, host.Held)
    async with worker("patient", dsn=dsn) as process:
        await process.up()
        await process.begun()
        process.send(number)
        await process.says("draining")
        assert await step_of(dsn) == ("running", 1)
        process.tell("well done")
        assert (await process.ended()).code == 0
    assert await outputs(dsn) == ["well done"]
    assert await step_of(dsn) == ("completed", 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_a_worker_at_once(dsn: str, number: signal.Signals) -> None:
    await start(dsn, host.Endless)
    async with worker("patient", dsn=dsn) as process:
        await process.up()
        await process.begun()
        process.send(signal.SIGTERM)
        await process.says("draining")
        process.send(number)
        assert (await process.ended()).code == -number
    assert await step_of(dsn) == ("running", 1)  # for others to take over


async def test_a_second_signal_ends_a_worker_whose_event_loop_is_blocked(dsn: str) -> None:
    async with worker("connected", dsn=dsn) as process:
        await process.up()
        await start(dsn, host.Blocking)
        await process.begun()
        process.send(signal.SIGTERM)
        await process.says("draining")
        process.send(signal.SIGTERM)
        assert (await process.ended()).code == -signal.SIGTERM


async def test_a_thread_that_never_ends_does_not_hold_a_worker(dsn: str) -> None:
    await start(dsn, host.Leaving)
    async with worker("connected", dsn=dsn) as process:
        await process.up()
        await process.begun()
        await outputs(dsn)
        asked = time.monotonic()
        process.send(signal.SIGTERM)
        ended = await process.ended()
    assert ended.code == 0
    assert "leaves behind what doesn't end" in ended.err
    assert time.monotonic() - asked < 5.0 + SOON


async def test_a_worker_that_only_opens_ends_at_once(dsn: str) -> None:
    """Its database takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)  # noqa: FBT003
        nowhere = f"postgresql://somebody@127.0.0.1:{silent.getsockname()[1]}/app"
        async with worker("connected", dsn=nowhere) as process:
            client, _ = await asyncio.get_running_loop().sock_accept(silent)
            with client:
                asked = time.monotonic()
                process.send(signal.SIGTERM)
                ended = await process.ended()
    assert ended.code == 0
    assert time.monotonic() - asked < SOON


async def test_a_worker_serves_the_queues_that_it_is_told_and_no_others(dsn: str) -> None:
    await start(dsn, host.Tell)
    await start(dsn, host.Second)
    async with worker("connected", "--queues", "second", dsn=dsn) as process:
        assert (await process.says(": up: ")).endswith("queues second:5")

        async def has_run() -> bool:
            query = (
                "select 1 from squid_mesh.runs where workflow = 'Second' and outcome is not null"
            )
            return await every(dsn, query) != []

        await eventually(has_run)
        serving = "select queue, meta ->> 'local_limit' from oban_producers"
        assert await every(dsn, serving) == [("second", "5")]
    waiting = "select status from squid_mesh.runs where workflow = 'Tell'"
    assert await one(dsn, waiting) == ("pending",)


@pytest.mark.parametrize("target", ["idle", "connected", "on_own_pool", "with_open_pool"])
async def test_queues_have_the_limits_that_a_worker_is_told(dsn: str, target: str) -> None:
    await start(dsn, host.Tell)
    async with worker(target, "--queues", "squid_mesh:2,third:3", dsn=dsn) as process:
        await process.up()
        await outputs(dsn)
        serving = "select queue, meta ->> 'local_limit' from oban_producers order by 1"
        assert await every(dsn, serving) == [("squid_mesh", "2"), ("third", "3")]
        process.send(signal.SIGTERM)
        assert (await process.ended()).code == 0
    assert await every(dsn, "select 1 from oban_producers") == []


@pytest.mark.parametrize(
    ("target", "options", "code", "sentence", "hint"),
    [
        ("idle", [], 1, "this Oban serves no queue", "give --queues"),
        ("idle", ["--queues", "slow"], 1, "how many jobs of 'slow' at once?", "slow:10"),
        ("connected", ["--queues", "slow:1"], 1, "no step of these workflows is in such a", ""),
        ("all_open", ["--queues", "second:1"], 1, "--queues comes too late", "don't start it"),
        ("connected", ["--queues", "slow:x"], 2, "'slow:x': write name:limit", ""),
        ("connected", ["--queues", "slow:0"], 2, "'slow:0': write name:limit", ""),
        ("connected", ["--queues", ""], 2, "'': write name:limit", ""),
        ("connected", ["--processes", "0"], 2, "0 is not in the range x>=1", ""),
        ("elsewhere", [], 1, "schema 'flows' is not installed", "run `squid-mesh migrate`"),
        ("number", [], 1, "tests.cli.host:number is of type int, not a mesh", "name a Mesh"),
    ],
)
async def test_a_worker_that_cannot_begin_says_why(
    dsn: str, target: str, options: list[str], code: int, sentence: str, hint: str
) -> None:
    ended = await run("worker", f"tests.cli.host:{target}", *options, dsn=dsn)
    assert ended.code == code
    assert sentence in ended.err
    assert hint in ended.err


async def test_a_worker_without_a_database_says_so_at_once() -> None:
    ended = await run("worker", "tests.cli.host:on_own_pool")
    assert ended.code == 1
    assert "the database can't be reached: " in ended.err
    assert "Hint: check that Postgres runs" in ended.err


async def test_a_worker_without_oban_says_how_to_install_it(dsn: str) -> None:
    execute(dsn, b"drop table oban_jobs")
    ended = await run("worker", "tests.cli.host:connected", dsn=dsn)
    assert ended.code == 1
    assert "Oban's tables are not in schema 'public'" in ended.err
    assert "Hint: run `squid-mesh migrate --oban`" in ended.err


# -- several processes


async def test_children_that_die_are_started_again_and_all_end_with_their_parent(dsn: str) -> None:
    async with worker("connected", "--processes", "2", dsn=dsn) as parent:
        first, second = await parent.up(), await parent.up()
        await start(dsn, host.Tell, 20)
        pids = {int(output.split()[1]) for output in await outputs(dsn)}
        assert pids <= {first, second}

        os.kill(first, signal.SIGKILL)
        assert "ended by SIGKILL: another begins in 0.5 s" in await parent.says("of 2 ended")
        third = await parent.up()
        assert third not in {first, second}

        parent.send(signal.SIGTERM)
        ended = await parent.ended()
    assert ended.code == 0
    assert not any(map(psutil.pid_exists, (first, second, third)))
    downs = [line for line in ended.err.splitlines() if line.endswith(": down")]
    assert all(f"[{pid}]" in "".join(downs) for pid in (second, third))


async def test_a_second_signal_to_the_parent_ends_all_at_once(dsn: str) -> None:
    async with worker("patient", "--processes", "2", dsn=dsn) as parent:
        await parent.up()
        await parent.up()
        await start(dsn, host.Endless)
        await parent.begun()
        parent.send(signal.SIGINT)
        await parent.says("draining")
        asked = time.monotonic()
        parent.send(signal.SIGINT)
        ended = await parent.ended()
    assert ended.code == 1
    assert time.monotonic() - asked < SOON
    assert await step_of(dsn) == ("running", 1)


async def test_children_do_not_outlive_a_parent_that_is_killed(dsn: str) -> None:
    async with worker("connected", "--processes", "2", dsn=dsn) as parent:
        pids = [await parent.up(), await parent.up()]
        parent.send(signal.SIGKILL)
        await parent.says("its parent is gone: draining")
        ended = await parent.ended()
    assert ended.code == -signal.SIGKILL

    async def are_gone() -> bool:
        return not any(map(psutil.pid_exists, pids))

    await eventually(are_gone)
    assert await every(dsn, "select 1 from squid_mesh.workers") == []


async def test_children_serve_the_queues_that_their_parent_is_told(dsn: str) -> None:
    async with worker("connected", "--processes", "2", "--queues", "second:1", dsn=dsn) as parent:
        for _ in range(2):
            assert (await parent.says(": up: ")).endswith("queues second:1")


async def test_a_parent_whose_children_cannot_begin_gives_up(dsn: str) -> None:
    ended = await run("worker", "tests.cli.host:elsewhere", "--processes", "2", dsn=dsn)
    assert ended.code == 1
    assert "schema 'flows' is not installed" in ended.err


async def test_a_parent_goes_on_trying_while_the_database_is_away() -> None:
    nowhere = "postgresql://somebody@127.0.0.1:1/app"
    async with worker("connected", "--processes", "2", dsn=nowhere) as parent:
        await parent.says("another begins in 0.5 s")
        await parent.says("another begins in 1 s")
        asked = time.monotonic()
        parent.send(signal.SIGTERM)
        await parent.ended()
    assert time.monotonic() - asked < SOON
