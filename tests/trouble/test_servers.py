"""The server of a busy mesh crashes, refuses, or has no room. No run fails, no attempt is wasted.

Each test asks for the same: the process lives on, says once that there is trouble and once that it
is over, and brings every run to its end, soon after.
"""

import asyncio
import shutil
import signal
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import DeadlockDetected

from squid_mesh import Mesh
from squid_mesh.store.connections import connect_committer
from tests.clock import every
from tests.database import Databases
from tests.meshes import oban_on, own_pool, play
from tests.trouble.load import WORKFLOWS, Chain, Large, Tally, lasts, load
from tests.trouble.server import Server, folder

SOON = 8.0
"""Seconds in which runs go on again. A host's pool may take most of it: it waits 1, 2, 4 s."""

OURS = "select pid from pg_stat_activity where starts_with(application_name, 'squid_mesh')"
END_OURS = f"select pg_terminate_backend(pid) from ({OURS}) ours"  # noqa: S608
CANCEL_OURS = f"select pg_cancel_backend(pid) from ({OURS}) ours"  # noqa: S608


@pytest.mark.parametrize("blow", [signal.SIGQUIT, signal.SIGKILL])
async def test_it_crashes(
    server: Server, dsn: str, caplog: pytest.LogCaptureFixture, blow: signal.Signals
) -> None:
    """`pg_ctl -m immediate` and `kill -9`, and it comes back with what was committed."""
    async with load(dsn, caplog) as busy:
        await busy.is_on()
        await server.crashes(blow)
        await server.starts()
        await busy.goes_on(within=SOON)
        await busy.ends()
        await busy.told_once("terminat|closed|refused")


async def test_it_ends_all_our_sessions_again_and_again(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with load(dsn, caplog) as busy:
        await busy.is_on()
        for _ in range(20):
            await every(dsn, END_OURS)
            await asyncio.sleep(0.05)  # a storm, not an event to wait for
        await busy.goes_on(within=SOON)
        await busy.ends()
        assert len(busy.said()) <= 2


async def test_it_cancels_all_our_statements_again_and_again(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What a statement timeout does, too."""
    async with load(dsn, caplog) as busy:
        await busy.is_on()
        async with await AsyncConnection.connect(dsn, autocommit=True) as operator:
            for _ in range(300):
                await operator.execute(CANCEL_OURS.encode())
        await busy.goes_on(within=SOON)
        await busy.ends()
        assert len(busy.said()) <= 2


async def test_it_has_no_connection_left(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    """Ours are ended, and somebody else has taken every place before we are back."""
    async with load(dsn, caplog) as busy:
        await busy.is_on()
        async with AsyncExitStack() as others, occupied(others, dsn) as operator:
            while await places_of_ours(operator):
                await operator.execute(END_OURS.encode())
                await takes_every_place(others, dsn)
            await lasts(busy)
        await busy.goes_on(within=SOON)
        await busy.ends()
        await busy.told_once("terminating connection|too many clients|closed the connection")


async def test_it_has_no_connection_left_for_a_mesh_that_starts(dsn: str) -> None:
    """The host is told, nothing is left behind, and the next try may do better."""
    async with own_pool(dsn, max_size=2) as pool:
        oban = oban_on(pool)
        mesh = Mesh(pool, oban=oban, workflows=WORKFLOWS, resources=[Tally()])
        for left in range(1, 9):
            async with AsyncExitStack() as others, occupied(others, dsn) as operator:
                await takes_every_place(others, dsn, but=left)
                with pytest.raises(psycopg.OperationalError, match="too many clients"):
                    await mesh.start()
                assert await places_of_ours(operator) == 0
                assert await (
                    await operator.execute("select count(*) from squid_mesh.workers")
                ).fetchone() == (0,)
        async with oban, mesh:
            assert (await play(mesh, Chain)).status == "completed"


@asynccontextmanager
async def occupied(others: AsyncExitStack, dsn: str) -> AsyncGenerator[AsyncConnection[Any]]:
    """The connection of somebody who looks on, beside those that take every place."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as operator:
        await takes_every_place(others, dsn)
        yield operator


async def takes_every_place(others: AsyncExitStack, dsn: str, but: int = 0) -> None:
    """Connect until the server refuses; then leave so many places again."""
    taken = []
    while True:
        try:
            taken.append(await AsyncConnection.connect(dsn))
        except psycopg.OperationalError:
            break
    for connection in taken[len(taken) - but :]:
        await connection.close()
    for connection in taken[: len(taken) - but]:
        others.push_async_callback(connection.close)


async def places_of_ours(operator: AsyncConnection[Any]) -> int:
    return len(await (await operator.execute(OURS.encode())).fetchall())


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_its_sessions_are_as_isolated_as_can_be(
    dsn: str, caplog: pytest.LogCaptureFixture, level: str
) -> None:
    """Conflicts that Oban meets then, of its fetches and acks, are put right by its next try."""
    await defaults(dsn, default_transaction_isolation=level)
    async with load(dsn, caplog) as busy:
        await busy.is_on()
        started = await busy.mesh.start_runs(Chain, [{}] * 20)
        asked = await asyncio.gather(*(busy.mesh.cancel_run(run.id) for run in started[:10]))
        assert {run.status for run in asked} <= {"cancelled", "cancelling"}
        await busy.goes_on(within=SOON)
        await busy.ends(cancelled=10)
        assert busy.said() == []


async def test_its_sessions_have_no_patience(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    """Limits that a role has for the statements of a host aren't meant for the engine's own."""
    impatient = {
        "statement_timeout": "300ms",
        "lock_timeout": "1ms",
        "idle_in_transaction_session_timeout": "300ms",
        "idle_session_timeout": "300ms",
    }
    await defaults(dsn, **impatient)
    async with load(dsn, caplog) as busy:
        await busy.is_on()
        ours = set(await every(dsn, OURS))
        limits = "select distinct setting from pg_settings where name = any(%s)"
        async with await connect_committer(dsn) as connection:
            cursor = await connection.execute(limits, [list(impatient)])
            assert await cursor.fetchall() == [("0",)]
        await asyncio.sleep(1.0)  # longer than any limit
        await busy.goes_on(within=SOON)
        assert set(await every(dsn, OURS)) >= ours
        await busy.ends()
        assert busy.said() == []


async def defaults(dsn: str, **settings: str) -> None:
    """What every session of a database begins with."""
    name = conninfo_to_dict(dsn)["dbname"]
    for setting, value in settings.items():
        await every(dsn, f"alter database {name} set {setting} = '{value}'")


async def test_a_host_takes_our_rows_in_its_own_order(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Steps before runs: it deadlocks with us, and either of us may be told to give way."""
    async with load(dsn, caplog) as busy:
        await busy.is_on()
        met = await asyncio.gather(*(wrong_way_round(dsn) for _ in range(3)))
        await busy.goes_on(within=SOON)
        await busy.ends()
        assert len(busy.said()) <= 2
    assert sum(met) > 0, "no host ever met us"


async def wrong_way_round(dsn: str) -> int:
    """Lock some live steps, then their runs; how often that ended in a deadlock."""
    steps = """
        select run_id from squid_mesh.steps where status in ('pending', 'running')
        order by random() limit 5 for update
    """
    runs = "update squid_mesh.runs set tags = tags where id = any(%s)"
    met = 0
    async with await AsyncConnection.connect(dsn) as host:
        for _ in range(40):
            try:
                found = await (await host.execute(steps)).fetchall()
                await host.execute("select pg_sleep(0.01)")
                await host.execute(runs, ([run for (run,) in found],))
                await host.commit()
            except DeadlockDetected:
                met += 1
                await host.rollback()
    return met


async def test_it_takes_no_writes(
    server: Server, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with load(dsn, caplog) as busy:
        await busy.is_on()
        await server.runs(
            "alter system set default_transaction_read_only = on", "select pg_reload_conf()"
        )
        await lasts(busy)
        await server.runs(
            "alter system reset default_transaction_read_only", "select pg_reload_conf()"
        )
        await busy.goes_on(within=SOON)
        await busy.ends()
        await busy.told_once("read-only")


async def test_it_has_no_room_left(
    server: Server, on_it: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk of the tables is full: some flushes still find room, and others don't."""
    with disk() as small:
        await server.runs(f"create tablespace small location '{small}'")
        await server.runs(f"create database small template {on_it.template} tablespace small")
        try:
            async with load(server.at("small"), caplog) as busy:
                await busy.is_on([Chain, Large])
                filler = fill(small)
                await lasts(busy)
                filler.unlink()
                await busy.goes_on(within=SOON)
                await busy.ends()
                await busy.told_once("No space left")
        finally:
            await server.runs("drop database small with (force)")
            await server.runs("drop tablespace small")


@contextmanager
def disk() -> Generator[Path]:
    """A small file system."""
    with folder() as place:
        options = ["-t", "tmpfs", "-o", "size=48m,mode=0777", "tmpfs", str(place)]
        mounted = subprocess.run(["mount", *options], capture_output=True, check=False)  # noqa: S607
        if mounted.returncode:
            pytest.skip("a small disk takes a mount, which takes root")
        try:
            home = place / "tables"
            home.mkdir()
            shutil.chown(home, "nobody")
            yield home
        finally:
            subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S607


def fill(place: Path) -> Path:
    """Write until there is no room."""
    filler = place.parent / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    return filler
