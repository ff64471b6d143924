"""A process that works on runs: `python -m examples.minimal_host.worker DSN URL`.

It says `up` when it works, and works until it is killed. Its standard input is a pipe from whoever
started it: when that ends, its parent has ended, and so does the worker.
"""

import asyncio
import logging
import os
import signal
import sys

from .application import running


async def work(dsn: str, gateway: str) -> None:
    """Work on runs until told to end."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), _hear)
    loop.add_signal_handler(signal.SIGTERM, told.set)
    async with running(dsn, gateway):
        print("up", flush=True)
        await told.wait()


def _hear() -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        os._exit(1)


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # the terminal is the command's
    asyncio.run(work(*sys.argv[1:]))
