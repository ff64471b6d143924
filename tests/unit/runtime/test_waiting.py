import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection

from squid_mesh.engine.states import RunStatus
from squid_mesh.runtime import waiting
from squid_mesh.runtime.waiting import Waiters
from squid_mesh.store.statements import Statements
from squid_mesh.store.trouble import Trouble


async def test_a_run_may_arrive_while_it_is_made_a_watched_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever waited has gone by then: nothing fails, and nobody is left to be watched."""
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0)  # so it is watched at the first look
    run = uuid4()

    async def use(_: object) -> list[tuple[UUID, str]]:
        waiters.tell(run, RunStatus.COMPLETED)
        assert await asker
        return [(run, "completed")]

    waiters = Waiters(Statements("squid_mesh", "public"), use, _nowhere, Trouble())
    asker = asyncio.create_task(waiters.wait(run, {RunStatus.COMPLETED}, 60))
    await asyncio.sleep(0)  # it has begun to wait

    await waiters._look()
    assert (waiters._waiting, waiters._watched) == ({}, set())


async def _nowhere() -> AsyncConnection[Any]:
    raise AssertionError("nobody listens here")
