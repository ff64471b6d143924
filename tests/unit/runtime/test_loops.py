"""A loop survives what its ticks meet, and says so once."""

import asyncio
import logging

import psycopg
import pytest

from squid_mesh.runtime import loops
from squid_mesh.runtime.loops import Loop
from squid_mesh.store.trouble import Trouble


class Ticks:
    """A tick that fails as it is told to."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.at: list[float] = []
        self.done = asyncio.Event()

    async def __call__(self) -> None:
        self.at.append(asyncio.get_running_loop().time())
        if not self.errors:
            self.done.set()
            return
        if error := self.errors.pop(0):
            raise error


async def run(ticks: Ticks, *, wakes: bool = False) -> None:
    loop = Loop("looking", ticks, 0.01, Trouble())
    loop.start()
    async with asyncio.timeout(10):
        while wakes and not ticks.done.is_set():
            loop.wake()
            await asyncio.sleep(0)
        await ticks.done.wait()
    await loop.stop()


async def test_the_same_error_is_said_once_until_it_is_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = ValueError("one"), ValueError("other")
    with caplog.at_level(logging.WARNING, "squid_mesh"):
        await run(Ticks(one, one, one, other, None, other))
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        "one",
        "other",
        "other",
    ]
    assert {record.name for record in caplog.records} == {loops.__name__}


async def test_trouble_with_the_database_is_told_as_such(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "squid_mesh"):
        await run(Ticks(*[psycopg.OperationalError("away")] * 5))
    assert [record.name for record in caplog.records] == ["squid_mesh.store.trouble"] * 2


async def test_ticks_that_fail_come_ever_later_whoever_wakes_the_loop() -> None:
    ticks = Ticks(*[psycopg.OperationalError("away")] * 4)
    await run(ticks, wakes=True)
    pauses = [after - before for before, after in zip(ticks.at, ticks.at[1:], strict=False)]
    for pause, least in zip(pauses, [0.01, 0.02, 0.04, 0.08], strict=False):
        assert pause >= least * 0.99
