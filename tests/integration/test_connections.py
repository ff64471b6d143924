"""The engine's own connections: a server that is gone without a word must not hang them."""

import asyncio
import ctypes
import os
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from squid_mesh import NoPayload, Workflow, complete, step
from squid_mesh.store.connections import (
    check,
    connect,
    connect_committer,
    connect_starter,
    lively,
)
from tests.clock import every
from tests.meshes import eventually, on_host, play

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="needs Linux")

type Connect = Callable[[str], Awaitable[AsyncConnection[Any]]]

SO_ATTACH_FILTER = 26
DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)
"""A packet filter of one instruction: keep nothing."""


@dataclass
class Wire:
    """A TCP port before the database, whose connections can fall silent."""

    upstream: str
    links: dict[asyncio.StreamWriter, asyncio.Task[Any]] = field(default_factory=dict)

    async def serve(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader, server = await asyncio.open_unix_connection(self.upstream)
        both = asyncio.gather(_copy(client, server), _copy(reader, writer))
        task = asyncio.current_task()
        assert task is not None
        self.links[writer] = task
        try:
            await both
        finally:
            del self.links[writer]
            writer.transport.abort()
            server.transport.abort()

    async def end(self) -> None:
        """Cut every connection."""
        tasks = list(self.links.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def falls_silent(self) -> None:
        """Drop what comes over every connection there is, unseen by this side's own TCP."""
        program = ctypes.create_string_buffer(DROP_ALL)
        filtering = struct.pack("HL", 1, ctypes.addressof(program))
        for writer in self.links:
            one = writer.get_extra_info("socket")
            one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filtering)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass
    finally:
        sink.close()


@asynccontextmanager
async def wired(dsn: str, **options: int) -> AsyncGenerator[tuple[Wire, str]]:
    """A wire, and the DSN that leads over it."""
    url = urlsplit(dsn)
    folder = parse_qs(url.query)["host"][0]
    wire = Wire(f"{folder}/.s.PGSQL.{url.port or 5432}")
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        query = "&".join(f"{name}={value}" for name, value in options.items())
        yield wire, url._replace(netloc=f"postgres@127.0.0.1:{port}", query=query).geturl()
    finally:
        server.close()
        await wire.end()
        await server.wait_closed()


def option(connection: AsyncConnection[Any], level: int, name: int) -> int:
    """An option of a connection's socket."""
    with socket.socket(fileno=os.dup(connection.fileno())) as copy:
        return copy.getsockopt(level, name)


@pytest.mark.parametrize("connecting", [connect, connect_committer, connect_starter])
async def test_a_silent_server_is_given_up_within_a_lease(dsn: str, connecting: Connect) -> None:
    async with wired(dsn) as (_, through), await connecting(through) as connection:
        assert option(connection, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        idle, interval, count = (option(connection, socket.IPPROTO_TCP, o) for o in options)
        assert idle + interval * count <= 11
        assert option(connection, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


def test_what_the_dsn_says_stands() -> None:
    given = "host=db tcp_user_timeout=3 connect_timeout=60"
    said = dict(part.split("=") for part in lively(given).split())
    assert (said["tcp_user_timeout"], said["connect_timeout"]) == ("3", "60")
    assert said["keepalives_idle"] == "5"


async def fine() -> str:
    return "fine"


class Quick(Workflow[NoPayload]):
    first = step(fine).takes()
    last = step(fine).takes()
    flow = first >> last >> complete


SOON = {
    "tcp_user_timeout": 500,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 1,
}


async def test_a_mesh_goes_on_when_its_connections_fall_silent(dsn: str) -> None:
    """All at once, as when a database moves to another machine under the same address."""
    async with (
        wired(dsn, **SOON) as (wire, through),
        on_host(dsn, [Quick], direct_dsn=through) as mesh,
    ):
        assert (await play(mesh, Quick)).status == "completed"
        wire.falls_silent()
        async with asyncio.timeout(10):
            assert (await play(mesh, Quick)).status == "completed"
        seen = await every(dsn, "select alive_at from squid_mesh.workers")

        async def beats() -> bool:
            return await every(dsn, "select alive_at from squid_mesh.workers") != seen

        await eventually(beats)


async def test_a_pool_hands_out_no_connection_that_broke_meanwhile(dsn: str) -> None:
    """And asks the server only about one that it has heard of: else it costs a round trip."""
    async with AsyncConnectionPool[AsyncConnection[Any]](
        dsn, open=False, min_size=1, max_size=1, check=check
    ) as pool:
        async with pool.connection() as connection:
            broken = connection.info.backend_pid
        last = "select query from pg_stat_activity where pid = %s"
        async with pool.connection() as connection:
            await connection.execute("select 'the last'")
        async with pool.connection():
            assert await every(dsn, last, broken) == [("COMMIT",)], "nothing was asked"
        await every(dsn, "select pg_terminate_backend(%s, 5000)", broken)
        async with pool.connection() as connection:
            assert connection.info.backend_pid != broken
            await connection.execute("select 1")


async def test_a_notice_on_an_idle_connection_is_no_end(dsn: str) -> None:
    """Something has come, and the server answers: it is used on."""
    async with AsyncConnectionPool[AsyncConnection[Any]](
        dsn, open=False, min_size=1, max_size=1, check=check
    ) as pool:
        async with pool.connection() as connection:
            await connection.execute("listen something")
            pid = connection.info.backend_pid
        await every(dsn, "notify something")
        async with pool.connection() as connection:
            assert connection.info.backend_pid == pid


async def test_a_flush_of_large_outputs_leaves_at_once(dsn: str) -> None:
    """As far as the system allows; of TCP it is the system's own affair."""
    async with await connect(dsn) as plain, await connect_committer(dsn) as committer:
        assert _room(committer) >= _room(plain)
        assert _room(committer) >= min(_most_room(), 4 * 1024 * 1024)


def _room(connection: AsyncConnection[Any]) -> int:
    """Bytes that the system takes before anybody reads them."""
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as end:
        return end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


def _most_room() -> int:
    return int(Path("/proc/sys/net/core/wmem_max").read_text(encoding="ascii"))
