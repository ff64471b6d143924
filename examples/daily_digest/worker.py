"""A process that works on runs: `python -m examples.daily_digest.worker DSN`.

It says `up` when it works, and ends cleanly when a signal tells it to. Its standard input is a pipe
from whoever started it: when that ends, its parent has died, and so does the worker, there and
then. What it was doing, another one will do.
"""

import asyncio
import logging
import os
import signal
import sys

from .application import assembled


async def work(dsn: str) -> None:
    """Work on runs until told to end."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), _hear)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    async with assembled(dsn) as app, app.oban, app.mesh:
        print("up", flush=True)
        await told.wait()


def _hear() -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        os._exit(1)


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # the terminal is the demo's
    asyncio.run(work(sys.argv[1]))
