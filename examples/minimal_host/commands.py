"""The commands: each checks the application on a Postgres, prints what, and exits accordingly."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import partial

from squid_mesh import embedded

from .application import install
from .checks import Checks
from .resilience import resilience
from .smoke import smoke
from .soak import soak

type Command = Callable[[str, Checks], Awaitable[None]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for: 0 when every check held, 1 when one didn't, 130 on Ctrl-C."""
    asked = _parser().parse_args(arguments)
    checks = Checks()
    try:
        for command in _commands(asked):
            with _database(asked.dsn) as dsn:
                asyncio.run(_run(command, dsn, checks))
    except KeyboardInterrupt:
        print("Stopped.")
        return 130
    return checks.verdict()


async def _run(command: Command, dsn: str, checks: Checks) -> None:
    await install(dsn)
    await command(dsn, checks)


def _commands(asked: argparse.Namespace) -> list[Command]:
    match asked.command:
        case "smoke":
            return [smoke]
        case "resilience":
            return [resilience]
        case "soak":
            return [partial(soak, duration=asked.seconds)]
        case _:
            return [smoke, resilience]


def _database(dsn: str | None) -> AbstractContextManager[str]:
    """The database that is named, or one that lives as long as the command."""
    return embedded.server() if dsn is None else nullcontext(dsn)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="minimal_host", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["smoke", "resilience", "soak"])
    parser.add_argument("--dsn", help="a database to use; by default a Postgres of its own")
    parser.add_argument(
        "--seconds",
        type=lambda text: timedelta(seconds=float(text)),
        default=timedelta(seconds=30),
        help="for how long to soak",
    )
    return parser
