"""Worker processes, seen from the process that starts them."""

import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

_ROOT = Path(__file__).parents[1]  # where `examples` is


@asynccontextmanager
async def worker(module: str, *arguments: str) -> AsyncGenerator[Process]:
    """A worker that is up, for the length of the block; killed if the block raises.

    It is `python -m MODULE ARGUMENTS`, and says `up` in its first line.

    It has a session of its own, so that the terminal's Ctrl-C is for its parent alone.
    """
    process = await create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=PIPE,
        stdout=PIPE,
        cwd=_ROOT,
        start_new_session=True,
    )
    try:
        await _is_up(process)
        yield process
        await _has_ended(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _is_up(process: Process) -> None:
    assert process.stdout
    if await process.stdout.readline() != b"up\n":
        raise RuntimeError(f"worker process {process.pid} ended before it was up")


async def _has_ended(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()
