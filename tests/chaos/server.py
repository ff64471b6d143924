"""The Postgres of a chaos run: durable, always at the same address, and it can be ill-treated."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from squid_mesh import embedded
from tests import database

_DATABASE = "chaos"


class Server:
    """A server whose data and socket outlive it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._sockets = home / "sockets"
        self._running = ExitStack()
        self.lock = asyncio.Lock()
        """Held by whoever takes it down."""

    def dsn(self, user: str = "postgres", name: str = _DATABASE) -> str:
        """The address of a database for a user."""
        return f"postgresql://{user}@/{name}?host={quote(str(self._sockets))}"

    async def start(self) -> None:
        """Start it; what it has to recover it recovers."""
        await asyncio.to_thread(self._start)

    async def stop(self) -> None:
        """Stop it as an operator would: connections are ended, what was committed stays."""
        await asyncio.to_thread(self._running.close)

    async def crash(self) -> None:
        """Stop it at once, in the middle of whatever it does."""
        postmaster = int((self._home / "data/data/postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGQUIT)
        await self.stop()

    def _start(self) -> None:
        settings = {"unix_socket_directories": f'"{self._sockets}"', "max_connections": "300"}
        server = embedded.server(directory=self._home / "data", settings=settings)
        self._running.enter_context(server)

    def prepare(self, users: list[str]) -> None:
        """Make the database, with every schema, and users that may do everything."""
        postgres = self.dsn(name="postgres")
        database.execute(postgres, f"create database {_DATABASE}".encode())
        for user in users:
            database.execute(postgres, f"create role {user} superuser login".encode())


@asynccontextmanager
async def serving(users: list[str]) -> AsyncGenerator[Server]:
    """A server for the block, with a database and users, and nothing left of it afterwards."""
    home = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))  # open to Postgres' user
    home.chmod(0o755)  # noqa: ASYNC240  # nothing else runs yet
    server = Server(home)
    try:
        server._sockets.mkdir()
        if os.geteuid() == 0:  # Postgres runs as somebody else then
            shutil.chown(server._sockets, "nobody")
        await server.start()
        await asyncio.to_thread(server.prepare, users)
        await asyncio.to_thread(database.prepare, server.dsn())
        yield server
    finally:
        await server.stop()
        shutil.rmtree(home, ignore_errors=True)
