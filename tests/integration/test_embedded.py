import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from squid_mesh import embedded
from squid_mesh.embedded import EmbeddedServerError

BOUND = 10  # seconds for all to be gone after their parent
PARENT = """
import os, signal, sys
from squid_mesh import embedded
with embedded.server(durable=sys.argv[1] == "durable") as dsn:
    if sys.argv[2] == "forked" and os.fork() == 0:
        signal.pause()
    print(dsn, flush=True)
    signal.pause()
"""


@pytest.fixture
def folder() -> Generator[Path]:
    """A folder that is open to all, unlike `folder`: as root, the server runs as nobody."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def folders_of(dsn: str) -> set[Path]:
    """Where a thrown-away server has its socket, its data and its log."""
    socket, data = str(conninfo_to_dict(dsn)["host"]), show(dsn, "data_directory")
    return {Path(socket), Path(data).parent}


def show(dsn: str, setting: str) -> str:
    with psycopg.connect(dsn) as conn:
        row = conn.execute("select current_setting(%s)", [setting]).fetchone()
    assert row
    return str(row[0])


def test_a_server_is_durable_unless_told_otherwise() -> None:
    with embedded.server() as dsn:
        assert show(dsn, "fsync") == show(dsn, "full_page_writes") == "on"


def test_settings_come_last() -> None:
    with embedded.server(durable=False, settings={"work_mem": "5MB", "fsync": "on"}) as dsn:
        assert show(dsn, "work_mem") == "5MB"
        assert show(dsn, "fsync") == "on"
        assert show(dsn, "synchronous_commit") == "off"


def test_text_is_unicode_whatever_the_locale() -> None:
    with embedded.server(durable=False) as dsn, psycopg.connect(dsn) as conn:
        assert conn.execute("select upper('straße, ähre')").fetchone() == ("STRAßE, ÄHRE",)


@pytest.mark.parametrize("durable", [True, False])
def test_nothing_is_left_after_the_block(*, durable: bool) -> None:
    with embedded.server(durable=durable) as dsn:
        folders = folders_of(dsn)
        assert all(folder.exists() for folder in folders)
    assert not any(folder.exists() for folder in folders)


def test_a_directory_is_kept_and_taken_up_again(folder: Path) -> None:
    directory = folder / "kept"  # made when it's missing
    with embedded.server(directory=directory) as dsn, psycopg.connect(dsn) as conn:
        conn.execute("create table kept as select 42 as answer")
    with embedded.server(directory=directory) as dsn, psycopg.connect(dsn) as conn:
        assert conn.execute("select answer from kept").fetchone() == (42,)
    assert "was shut down at" in (directory / "log").read_text()


def test_a_directory_takes_one_server_at_a_time(folder: Path) -> None:
    with (
        embedded.server(directory=folder),
        pytest.raises(EmbeddedServerError, match=r"postmaster\.pid.* already exists"),
        embedded.server(directory=folder),
    ):
        pass


def test_a_long_temporary_folder_does_not_matter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = folder / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with embedded.server(durable=False) as dsn, psycopg.connect(dsn):
        pass


def test_a_failure_to_start_shows_the_log() -> None:
    with (
        pytest.raises(EmbeddedServerError, match="did not start") as caught,
        embedded.server(durable=False, settings={"work_memory": "5MB"}),
    ):
        pass
    assert 'unrecognized configuration parameter "work_memory"' in caught.value.log


def test_a_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddedServerError, match=r"squid-mesh\[embedded\]"), embedded.server():
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_root_is_told_that_nobody_cannot_enter_a_directory(folder: Path) -> None:
    folder.chmod(0o700)
    with (
        pytest.raises(EmbeddedServerError, match="runs as nobody, who can't enter"),
        embedded.server(directory=folder),
    ):
        pass


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("durable", ["durable", "not durable"])
def test_server_and_folders_go_however_the_parent_dies(durable: str, blow: signal.Signals) -> None:
    with parent(durable, "alone") as (process, dsn):
        folders = folders_of(dsn)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(blow)
        _, alive = psutil.wait_procs(family, timeout=BOUND)
    assert len(family) > 1  # the keeper, the server, its processes
    assert not alive
    assert not any(folder.exists() for folder in folders)


def test_a_fork_of_the_parent_does_not_keep_the_server() -> None:
    with parent("not durable", "forked") as (process, dsn):
        folders = folders_of(dsn)
        mine = psutil.Process(process.pid)
        fork, *others = sorted(mine.children(), key=lambda child: child.cmdline() != mine.cmdline())
        family = [*others, *(child for other in others for child in other.children(recursive=True))]
        process.kill()
        _, alive = psutil.wait_procs(family, timeout=BOUND)
        fork.kill()
    assert family
    assert not alive
    assert not any(folder.exists() for folder in folders)


@contextlib.contextmanager
def parent(*arguments: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """A process of its own that holds a server, and the server's DSN."""
    command = [sys.executable, "-c", PARENT, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        yield process, process.stdout.readline().strip()


@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGINT])
def test_the_module_is_a_program_that_serves_until_it_is_told_to_end(blow: signal.Signals) -> None:
    command = [sys.executable, "-m", "squid_mesh.embedded"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        dsn = process.stdout.readline().strip()
        with psycopg.connect(dsn) as conn:
            assert conn.execute("select 42").fetchone() == (42,)
        folders = folders_of(dsn)
        process.send_signal(blow)
        assert process.wait(timeout=BOUND) == 0
    assert not any(folder.exists() for folder in folders)
