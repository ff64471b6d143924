"""Runs the program as a process of its own, as people do."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).with_name("squid-mesh"))
HOST = "tests.cli.host"
LONG = 40.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended, and what it said."""

    code: int
    out: str
    err: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.out + self.err, self.err


async def run(
    *arguments: str, dsn: str | None = None, cwd: Path = ROOT, program: str = PROGRAM
) -> Ended:
    """Run the program to its end."""
    process = await _start([program, *arguments], dsn, cwd)
    out, err = await asyncio.wait_for(process.communicate(), LONG)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def _start(command: list[str], dsn: str | None, cwd: Path) -> Process:
    environment = os.environ | {"PYTHONWARNINGS": "error", "COLUMNS": "200"}
    if dsn is not None:
        environment["HOST_DSN"] = dsn
    return await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


@dataclass(slots=True)
class Worker:
    """A running `squid-mesh worker`, one process or several."""

    process: Process
    said: list[str] = field(default_factory=list)

    async def says(self, what: str) -> str:
        """The next line of its standard error that holds these words."""
        assert self.process.stderr
        async with asyncio.timeout(LONG):
            while line := (await self.process.stderr.readline()).decode().rstrip():
                self.said.append(line)
                if what in line:
                    return line
        raise AssertionError(f"it ended without saying {what!r}: {self.said}")

    async def up(self) -> int:
        """Wait until a process of it is up; its process id."""
        line = await self.says(": up: ")
        return int(line.partition("[")[2].partition("]")[0])

    async def begun(self) -> str:
        """Wait until a body has told so on the standard output."""
        assert self.process.stdout
        async with asyncio.timeout(LONG):
            line = (await self.process.stdout.readline()).decode().rstrip()
        assert line.startswith("begun"), line
        return line

    def tell(self, line: str) -> None:
        """Let a body go on."""
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n".encode())

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ended(self) -> Ended:
        """Wait until it is gone."""
        out, rest = await asyncio.wait_for(self.process.communicate(), LONG)
        assert self.process.returncode is not None
        err = "\n".join(self.said) + "\n" + rest.decode()
        return Ended(self.process.returncode, out.decode(), err)


@asynccontextmanager
async def worker(
    target: str, *options: str, dsn: str, command: list[str] | None = None
) -> AsyncGenerator[Worker]:
    """A worker process on a target of the host's; killed when the block ends."""
    program = [PROGRAM] if command is None else command
    process = await _start([*program, "worker", f"{HOST}:{target}", *options], dsn, ROOT)
    try:
        yield Worker(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
