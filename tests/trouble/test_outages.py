"""The database is away, slow, or another one than before."""

import asyncio
import signal
import time
from collections.abc import Generator
from urllib.parse import quote

import pytest

from tests.clock import every, one
from tests.database import prepare
from tests.integration.leaving import Worker, attempts, start, worker
from tests.integration.shutdown_process import Held
from tests.laws.proxy import proxied
from tests.meshes import eventually
from tests.trouble.load import LEASE, lasts, load
from tests.trouble.server import Server, folder, harmed

SOON = 8.0


async def test_nobody_takes_over_from_the_living_after_an_outage(server: Server, dsn: str) -> None:
    """All leases look over when the database is back. Who is back first mustn't believe it."""
    async with worker(dsn, 5.0, LEASE) as one_of_two, worker(dsn, 5.0, LEASE) as other:
        for process in (one_of_two, other):
            await process.opens()
        runs = await start(dsn, Held, 30)  # more than one of them takes
        for process in (one_of_two, other):
            await process.says("begun")
        await server.crashes(signal.SIGQUIT)
        await asyncio.sleep(2 * LEASE.total_seconds())  # a lease is real time
        await server.starts()
        await beats_again(dsn, one_of_two, other)

        async def all_completed() -> bool:
            for process in (one_of_two, other):
                process.tell("go on")
            done = "select 1 from squid_mesh.runs where status = 'completed'"
            return len(await every(dsn, done)) == len(runs)

        await eventually(all_completed)
    held = await attempts(dsn, "work")
    assert {(n, status) for n, status, _ in held} == {(1, "completed")}
    assert {boot for *_, boot in held} == {one_of_two.boot, other.boot}


async def beats_again(dsn: str, *processes: Worker) -> None:
    """Wait until each has been alive again for longer than a lease."""
    lease = LEASE.total_seconds()
    alive = "select count(*) from squid_mesh.workers where alive_at > now() - interval '0.5 s'"
    steady = time.monotonic()
    async with asyncio.timeout(20):
        while time.monotonic() - steady < 1.5 * lease:
            (count,) = await one(dsn, alive)
            if count < len(processes):
                steady = time.monotonic()
            await asyncio.sleep(0.05)


async def test_a_process_ends_in_time_though_the_database_is_away(server: Server, dsn: str) -> None:
    async with worker(dsn, 0.5, LEASE) as leaving:
        await leaving.opens()
        await start(dsn, Held, 1)
        await leaving.says("begun")
        await server.crashes(signal.SIGQUIT)
        leaving.terminate()
        stopping = await leaving.says_when("stopping")
        down = await leaving.says_when("down")
        await server.starts()
    assert down - stopping < 0.5 + LEASE.total_seconds() + 6.0


async def test_it_answers_slowly(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    """A step takes a few round trips' time, and nobody is nervous."""
    async with proxied(dsn) as (proxy, through), load(through, caplog) as busy:
        await busy.is_on()
        proxy.delay = 0.1
        await busy.goes_on()
        await busy.goes_on()
        proxy.delay = 0.0
        await busy.ends()
        assert busy.said() == []


async def test_it_answers_nothing_for_longer_than_a_lease(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with proxied(dsn) as (proxy, through), load(through, caplog) as busy:
        await busy.is_on()
        proxy.flows.clear()
        await asyncio.sleep(1.5 * LEASE.total_seconds())  # a lease is real time
        proxy.flows.set()
        await busy.goes_on(within=SOON)
        await busy.ends()
        assert busy.said() == []


@pytest.fixture
def pair() -> Generator[tuple[Server, Server]]:
    """A server, and one that follows it so closely that a commit is on both."""
    with harmed() as first, folder() as place:
        prepare(first.dsn)
        second = Server(place)
        first.is_copied_to(second)
        second.start()
        try:
            yield first, second
        finally:
            second.is_thrown_away()


async def test_another_server_takes_its_place(
    pair: tuple[Server, Server], caplog: pytest.LogCaptureFixture
) -> None:
    """A failover: the one that followed is read-only at first, and promoted a while later."""
    first, second = pair
    await first.runs("alter system set synchronous_standby_names = '*'", "select pg_reload_conf()")
    hosts = quote(f"{first.folder},{second.folder}")
    dsn = f"postgresql://postgres@/postgres?host={hosts}&target_session_attrs=read-write"
    async with load(dsn, caplog) as busy:
        await busy.is_on()
        await first.crashes(signal.SIGKILL)
        await lasts(busy)
        await second.runs("select pg_promote()")
        await busy.goes_on(within=SOON)
        await busy.ends()
        await busy.told_once("connection|terminat|closed")
