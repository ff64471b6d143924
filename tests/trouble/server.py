"""Postgres servers that a test may harm: they crash, come back, and are told what to refuse."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil
from psycopg import AsyncConnection

from squid_mesh import embedded
from tests.database import dsn_of
from tests.meshes import eventually

FAST = {"fsync": "off", "full_page_writes": "off"}
"""Safe against crashes of the server, which is all that happens here."""


@dataclass
class Server:
    """A server in a folder of its own, at an address that stays the same."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    _running: ExitStack = field(default_factory=ExitStack)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self.folder))}"

    def at(self, database: str) -> str:
        """The DSN of one of its databases."""
        return dsn_of(self.dsn, database)

    def start(self) -> None:
        place = {"unix_socket_directories": f'"{self.folder}"'}
        self._running.enter_context(
            embedded.server(directory=self.folder, settings=FAST | place | dict(self.settings))
        )

    def stop(self) -> None:
        self._running.close()

    def is_thrown_away(self) -> None:
        """Stop it without ado."""
        self._postmaster().send_signal(signal.SIGQUIT)
        self.stop()

    def _postmaster(self) -> psutil.Process:
        return psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))

    def is_copied_to(self, other: "Server") -> None:
        """Make another one, which will follow this one."""
        program = embedded._wheel() / "pginstall" / "bin" / "pg_basebackup"
        target = f"--pgdata={other.data}"
        options = [
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
            f"--dbname={self.dsn}",
        ]
        other.data.mkdir(mode=0o700)
        subprocess.run([program, target, *options], check=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "nobody", other.data], check=True)  # noqa: S607

    async def starts(self) -> None:
        await asyncio.to_thread(self.start)

    async def crashes(self, blow: signal.Signals) -> None:
        """Its postmaster gets a signal: SIGQUIT is what `pg_ctl -m immediate` sends."""
        postmaster = self._postmaster()
        family = [postmaster, *postmaster.children()]
        postmaster.send_signal(blow)
        await eventually(lambda: _all_have_ended(family))
        await asyncio.to_thread(self.stop)

    async def runs(self, *statements: str) -> None:
        """Have a superuser say something, outside of any transaction."""
        async with await AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            await connection.execute("set default_transaction_read_only = off")
            for statement in statements:
                await connection.execute(statement.encode())


async def _all_have_ended(family: Iterable[psutil.Process]) -> bool:
    return not any(map(_lives, family))


def _lives(process: psutil.Process) -> bool:
    """Whether it does something: nobody may have asked for its exit code yet."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def folder() -> Generator[Path]:
    """A folder that Postgres can use: as root, the server runs as nobody."""
    made = Path(tempfile.mkdtemp(prefix="squid-mesh-harm-"))
    made.chmod(0o755)
    try:
        if os.geteuid() == 0:
            shutil.chown(made, "nobody")
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def harmed(**settings: str) -> Generator[Server]:
    """A server of one's own."""
    with folder() as place:
        server = Server(place, settings)
        server.start()
        try:
            yield server
        finally:
            with suppress(FileNotFoundError, psutil.NoSuchProcess):
                server.is_thrown_away()
            server.stop()
