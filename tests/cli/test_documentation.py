"""The pages about operating and tools: every command and every file, as they are written."""

import asyncio
import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.program import Ended, Worker
from tests.clock import one
from tests.docs import installing
from tests.tools.server import serving

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"(?:`(?P<file>\w+\.py)`\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code: its language, and the name of the file that it is."""

    kind: str
    file: str | None
    text: str


def blocks(page: str) -> list[Block]:
    """All blocks of a page, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [Block(m["kind"], m["file"], m["text"]) for m in _BLOCK.finditer(text)]


OURS = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
"""Where the program is, without installing it."""


async def shell(
    command: str, folder: Path, dsn: str, programs: dict[str, str]
) -> asyncio.subprocess.Process:
    """Run a command line as a person would, with the program on the path."""
    environment = os.environ | {"DATABASE_URL": dsn, "COLUMNS": "200"} | programs
    return await asyncio.create_subprocess_exec(
        *("sh", "-c", f"exec {command}" if "worker" in command else command),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(command: str, folder: Path, dsn: str, programs: dict[str, str] = OURS) -> str:
    """What a command prints that has to succeed; a worker until it is up and told to end."""
    process = await shell(command, folder, dsn, programs)
    if "squid-mesh worker" in command:
        worker = Worker(process)
        for _ in range(2 if "--processes 2" in command else 1):
            await worker.up()
        worker.send(signal.SIGTERM)
        done = await worker.ended()
    else:
        out, err = await process.communicate()
        done = Ended(process.returncode or 0, out.decode(), err.decode())
    assert done.code == 0, f"{command}: {done.err}"
    return done.out


@pytest.mark.timeout(600)  # twenty processes, on a machine that may have others to run
async def test_operating_as_it_is_written(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, empty: str, another: str
) -> None:
    """Alembic has a database of its own, as the page says to choose one way of migrating."""
    programs = installing.environment(tmp_path_factory.mktemp("installed"))
    await of_a_host(tmp_path, another)
    printed = ""
    for block in blocks("operating.md"):
        match block:
            case Block("python", str(file), text):
                (tmp_path / file).write_text(text, encoding="utf-8")
            case Block("sh", _, text):
                lines = text.splitlines()
                printed = "".join([await ended(line, tmp_path, empty, programs) for line in lines])
            case Block("text", _, text):
                assert printed == text
            case _:
                raise AssertionError(block)
    for dsn in (empty, another):
        assert await one(dsn, "select count(*) from squid_mesh.migrations") == (1,)


async def of_a_host(folder: Path, dsn: str) -> None:
    """What the page takes for granted: an Alembic, and a folder of SQL files."""
    (folder / "db" / "migrations").mkdir(parents=True)
    await ended("alembic init migrations", folder, dsn)
    settings = folder / "alembic.ini"
    other = urlsplit(dsn)._replace(scheme="postgresql+psycopg").geturl()
    text = re.sub(r"(?m)^sqlalchemy.url = .*$", f"sqlalchemy.url = {other}", settings.read_text())
    settings.write_text(text, encoding="utf-8")


async def test_tools_as_they_are_written(tmp_path: Path, dsn: str) -> None:
    for block in blocks("tools.md"):
        assert block.kind == "python"
        (tmp_path / (block.file or "imports.py")).write_text(block.text, encoding="utf-8")
    async with serving() as server:
        server.answers("/charges", 503, b"", Retry_After="0")
        busy = server.routes["/charges"]
        server.answers("/charges", 200, b'{"id": 77}')
        free = server.routes["/charges"]
        server.routes["/charges"] = lambda: busy() if len(server.received) == 1 else free()
        python = f"{sys.executable} main.py '{dsn}' {server.url}"
        assert await ended(python, tmp_path, dsn) == "completed 77\n"
    assert [received.body for received in server.received] == [b'{"cents":4200}'] * 2
    await ended(f"{sys.executable} imports.py", tmp_path, dsn)


async def test_an_adapter_as_it_is_written(tmp_path: Path, dsn: str) -> None:
    (text,) = [block.text for block in blocks("tools.md") if block.file == "mailer.py"]
    (tmp_path / "mailer.py").write_text(text + _MAILING, encoding="utf-8")
    printed = await ended(f"{sys.executable} mailer.py", tmp_path, dsn)
    assert printed == "250\nbad_address: 'ada' is no address\n"


_MAILING = """
import asyncio
print(asyncio.run(send(Mailer(), "ada@example.com")))
try:
    asyncio.run(send(Mailer(), "ada"))
except ToolError as error:
    print(f"{error.kind}: {error}")
"""
