"""The process between a program and its embedded Postgres: starts the server, and ends with it.

A separate process, because a program that is killed can't clean up after itself. It runs as a
script on the standard library alone, so it imports nothing of Squid Mesh. The agreement: it is
given a `Job` as JSON, prints one line when the server is ready or has failed, and stays until its
standard input closes or its parent is another one.
"""

import contextlib
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

READY, FAILED = "ready", "failed"
PATIENCE = 60.0  # seconds for a start, which may have a crash to recover from, and for a clean stop


@dataclass(frozen=True, slots=True)
class Job:
    """What to run. Plain values, since it travels as JSON."""

    parent: int
    programs: str
    data: str
    settings: dict[str, str]
    user: str | None  # who runs Postgres's programs, when it isn't us
    rubbish: tuple[str, ...]  # folders to remove in the end

    @property
    def is_kept(self) -> bool:
        """Whether anybody will want this data again."""
        return not any(Path(self.data).is_relative_to(folder) for folder in self.rubbish)

    def parent_is_gone(self, within: float) -> bool:
        """Wait up to `within` seconds for the parent to end.

        A closed pipe alone doesn't tell: a fork of the parent may hold its other end open.
        """
        closed, _, _ = select.select([sys.stdin], [], [], within)
        return bool(closed) or os.getppid() != self.parent

    def start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Run one of Postgres's programs, with all it says in the log, which is our stderr."""
        return subprocess.Popen(
            [f"{self.programs}/{program}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            user=self.user,
            group=pwd.getpwnam(self.user).pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
        )


def initialise(job: Job) -> None:
    """Make the data folder. It gets its name once it is whole: an interrupted try leaves none."""
    whole, half = Path(job.data), Path(f"{job.data}.half")
    if whole.exists():
        return
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o700)
    if job.user:
        shutil.chown(half, job.user)
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions"]
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    sync = [] if job.is_kept else ["--no-sync"]
    status = job.start("initdb", f"--pgdata={half}", *options, *locale, *sync).wait()
    if status != 0:
        raise RuntimeError(f"initdb ended with status {status}")
    half.rename(whole)


def start(job: Job) -> subprocess.Popen[bytes]:
    """Start the server and wait until it takes connections."""
    initialise(job)
    settings = (part for name, value in job.settings.items() for part in ("-c", f"{name}={value}"))
    server = job.start("postgres", "-D", job.data, *settings)
    deadline = time.monotonic() + PATIENCE
    while not is_ready(server, job):
        if server.poll() is not None:
            raise RuntimeError(f"postgres ended with status {server.returncode}")
        if time.monotonic() > deadline or job.parent_is_gone(within=0.01):
            stop(server, job)
            raise RuntimeError(f"postgres wasn't ready within {PATIENCE:g} s")
    return server


def is_ready(server: subprocess.Popen[bytes], job: Job) -> bool:
    """Whether this very server says so: another one that holds the data has its file there too."""
    with contextlib.suppress(FileNotFoundError):
        lines = Path(job.data, "postmaster.pid").read_text().split()
        is_ours = bool(lines) and lines[0] == str(server.pid)
        return is_ours and lines[-1] in {"ready", "standby"}
    return False


def stop(server: subprocess.Popen[bytes], job: Job) -> None:
    """Stop the server: cleanly when its data is kept, at once otherwise."""
    clean = [signal.SIGINT] if job.is_kept else []
    for signal_number in [*clean, signal.SIGQUIT, signal.SIGKILL]:
        server.send_signal(signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(PATIENCE)
            return


def keep(job: Job) -> None:
    """Run the server as long as the parent lives. The log outlives a failure until it was read."""
    server = None
    try:
        server = start(job)
    except Exception:  # noqa: BLE001 (whatever it is, the parent shows it: stderr is the log)
        traceback.print_exc()
    with contextlib.suppress(BrokenPipeError):
        print(READY if server else FAILED, flush=True)  # noqa: T201 (the agreed line)
    while not job.parent_is_gone(within=1.0):
        pass
    if server:
        stop(server, job)


def stay(_signal: int, _frame: FrameType | None) -> None:
    """Only the parent's end is ours. A handler, as our children would inherit that we ignore it."""


def main() -> None:
    """Do the job given as the only argument."""
    job = Job(**json.loads(sys.argv[1]))
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, stay)
    try:
        keep(job)
    finally:
        for folder in job.rubbish:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
