"""`squid-mesh worker`: a process that works on runs until it is told to end.

The first SIGTERM or SIGINT drains it: it begins nothing more, finishes or hands over what it has,
and is gone. The second one ends it there and then, whatever it is doing, as Python and the event
loop aren't asked any more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from types import FrameType
from typing import Any

from squid_mesh.cli import target
from squid_mesh.cli.complaints import Complaint, complaining
from squid_mesh.cli.parts import Parts, opened, parts_of
from squid_mesh.cli.place import connected
from squid_mesh.cli.target import Target
from squid_mesh.dispatch import oban as dispatch
from squid_mesh.runtime.settings import serve_some

SIGNALS = (signal.SIGTERM, signal.SIGINT)

LAST_SECONDS = 5.0
"""How long a process may take to be gone when its mesh has closed: some threads never end."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker is told. `limits` are of the queues that it serves, None of those it has."""

    target: Target
    limits: Mapping[str, int | None] | None
    is_child: bool = False
    """Whether its standard input is a pipe from a parent that it must not outlive."""


def run(work: Work) -> None:
    """Work until told to end. Raises `Complaint` when it can't begin."""
    _log_by_default()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        ending = Ending(runner.get_loop())
        try:
            with complaining():
                runner.run(_work(work, ending))
        finally:
            _be_gone_soon(1 if sys.exception() else 0)


async def _work(work: Work, ending: Ending) -> None:
    if work.is_child:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ending.on_orphaned)
    ending.may_be_cancelled()
    try:
        async with _at_work(work) as parts:
            ending.has_opened()
            _say_up(parts)
            await ending.told()
    except asyncio.CancelledError:
        if not ending.is_told:
            raise
    say("down")


@asynccontextmanager
async def _at_work(work: Work) -> AsyncGenerator[Parts]:
    """The target's mesh, open."""
    async with target.mesh_of(work.target, target.load(work.target)) as mesh:
        parts = parts_of(mesh)
        queues = _queues(work.limits, dispatch.queues_of(parts.oban))
        if queues is not None and parts.owns_both:  # a host's own Oban may have other jobs to do
            serve_some(queues, parts.catalog.queues(parts.settings.queueing.queue))
        async with connected(parts.settings.dsn):  # a pool would try for half a minute
            pass
        async with opened(mesh, queues) as parts:
            yield parts


def _queues(
    limits: Mapping[str, int | None] | None, given: Mapping[str, int]
) -> Mapping[str, int] | None:
    """How many jobs of each queue to do at once; None to leave an Oban as it is."""
    if limits is None:
        if not given:
            raise Complaint("this Oban serves no queue, so nothing would run", "give --queues")
        return None
    if unknown := [
        queue for queue, limit in limits.items() if limit is None and queue not in given
    ]:
        names = ", ".join(map(repr, unknown))
        raise Complaint(
            f"how many jobs of {names} at once?",
            f"write --queues {unknown[0]}:10; by itself this Oban has "
            f"{', '.join(given) or 'no queue'}",
        )
    return {queue: given[queue] if limit is None else limit for queue, limit in limits.items()}


class Ending:
    """How a worker is told to end: by signals, or by its parent's end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()
        self._opening: asyncio.Task[Any] | None = None
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    @property
    def is_told(self) -> bool:
        """Whether it was told to end."""
        return self._event.is_set()

    def may_be_cancelled(self) -> None:
        """Let the current task be cancelled when the process is told to end: it only opens."""
        self._opening = asyncio.current_task()

    def has_opened(self) -> None:
        """From here on there is something to drain."""
        self._opening = None

    async def told(self) -> None:
        """Wait until told to end."""
        await self._event.wait()

    def on_orphaned(self) -> None:
        """Notice when the other end of the standard input is closed."""
        if not os.read(sys.stdin.fileno(), 1024):
            self._loop.remove_reader(sys.stdin.fileno())
            say("its parent is gone: draining")
            self._tell()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # the next one is the kernel's
        say(f"{signal.Signals(number).name}: draining; a second signal ends it at once")
        self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._event.set()
        if self._opening is not None:
            self._opening.cancel()


def say(sentence: str) -> None:
    """Tell whoever watches this process. Without a buffer, as signal handlers say something too."""
    os.write(sys.stderr.fileno(), f"squid-mesh[{os.getpid()}]: {sentence}\n".encode())


def _say_up(parts: Parts) -> None:
    queues = ", ".join(f"{queue}:{n}" for queue, n in dispatch.queues_of(parts.oban).items())
    workflows = ", ".join(parts.catalog.definitions) or "no workflow"
    say(f"up: {workflows}; queues {queues}")


def _be_gone_soon(code: int) -> None:
    """End the process even if asyncio or the interpreter wait for something that never ends."""

    def leave() -> None:
        say("leaves behind what doesn't end")
        os._exit(code)

    timer = threading.Timer(LAST_SECONDS, leave)
    timer.daemon = True
    timer.start()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop's, where it is installed."""
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _log_by_default() -> None:
    """Log to the standard error, unless the host's code configures logging itself.

    Of other libraries only warnings: httpx tells the whole URL of each request, secrets and all.
    """
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.WARNING, format=form)
    logging.getLogger("squid_mesh").setLevel(logging.INFO)
