"""Several worker processes under one parent, which starts again what dies and hands signals on.

A child holds one end of a pipe on its standard input, so that it notices when its parent dies. It
has a session of its own: what a terminal sends to everybody (Ctrl-C) reaches it through the parent
only, once.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass, field

from squid_mesh.cli.worker import SIGNALS, say

CANNOT_BEGIN = 78
"""The exit code of a child that would fail the same way again (EX_CONFIG of sysexits.h)."""

CLEAN = {0, -signal.SIGTERM}
"""How a child ends that was told to: by the signal itself if it had not come to listen to it."""

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
"""Seconds before a child is started again: doubled for each that died young."""

YOUNG = 60.0
"""Seconds that a child has to live for its death not to count as one in a row."""


@dataclass(slots=True)
class Supervisor:
    """The parent of `count` children that run `command`."""

    command: Sequence[str]
    count: int
    _children: dict[int, Process] = field(default_factory=dict, init=False)
    _ending: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _codes: set[int] = field(default_factory=set, init=False)
    _signals: int = field(default=0, init=False)

    async def run(self) -> int:
        """Keep the children until told to end; the exit code of it all."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        say(f"the parent of {self.count} processes")
        async with asyncio.TaskGroup() as tasks:
            for slot in range(1, self.count + 1):
                tasks.create_task(self._keep(slot))
        return max(self._codes, default=0)

    async def _keep(self, slot: int) -> None:
        """One child after the other, until told to end."""
        deaths = 0
        while not self._ending.is_set():
            began = time.monotonic()
            code = await self._live(slot)
            if self._ending.is_set():
                self._codes.add(0 if code in CLEAN else 1)
            elif code == CANNOT_BEGIN and deaths == 0:
                self._end(signal.SIGTERM)  # it has said why; the others will say the same
                self._codes.add(1)
            else:
                deaths = 1 if time.monotonic() - began > YOUNG else deaths + 1
                await self._pause(slot, code, min(FIRST_DELAY * 2 ** (deaths - 1), LONGEST_DELAY))

    async def _live(self, slot: int) -> int:
        """One child's life; how it ended, below 0 by a signal."""
        child = await asyncio.create_subprocess_exec(
            *self.command, stdin=PIPE, start_new_session=True
        )
        self._children[slot] = child
        if self._ending.is_set():  # while the child was made
            child.send_signal(signal.SIGTERM)
        code = await child.wait()
        del self._children[slot]
        return code

    async def _pause(self, slot: int, code: int, delay: float) -> None:
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        say(f"process {slot} of {self.count} ended {how}: another begins in {delay:g} s")
        try:
            await asyncio.wait_for(self._ending.wait(), delay)
        except TimeoutError:
            return

    def _on_signal(self) -> None:
        self._signals += 1
        self._end(signal.SIGTERM if self._signals == 1 else signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        self._ending.set()
        for child in self._children.values():
            if child.returncode is None:
                child.send_signal(number)


def supervise(arguments: Sequence[str], count: int) -> int:
    """Run the worker command in so many processes; the exit code."""
    command = [sys.executable, "-m", "squid_mesh.cli", "worker", *arguments]
    return asyncio.run(Supervisor(command, count).run())
