"""What a body mustn't do to its transaction: its step fails, and says what it did."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from psycopg import AsyncConnection
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from squid_mesh import (
    StepError,
)
from tests.integration.transactional import (
    KINDS,
    WRITE,
    Effect,
    InSession,
    InSyncSession,
    Joined,
    OnConnection,
    Stage,
    nothing,
)
from tests.meshes import (
    statuses,
    step_of,
)

# -- what a body mustn't do


async def _swallows(handle: Any, query: Any) -> None:
    with suppress(Exception):  # as careless code does
        await handle.execute(query)


def _swallows_sync(handle: Any, query: Any) -> None:
    with suppress(Exception):  # as careless code does
        handle.execute(query)


async def _swallows_flush(handle: Any) -> None:
    with suppress(Exception):  # as careless code does
        handle.add(Effect(what=None))
        await handle.flush()


async def _leaves_running(handle: Any) -> None:
    _tasks.append(asyncio.create_task(handle.execute("select pg_sleep(0.5)")))
    await asyncio.sleep(0.1)


async def _commits_and_goes_on(handle: Any) -> None:
    await handle.execute("commit")
    await handle.execute("begin")
    await handle.execute(WRITE)


async def _commits_in_sql(handle: Any) -> None:
    await handle.execute(text("commit"))


def _commits_in_sync_sql(handle: Any) -> None:
    handle.execute(text("commit"))


_tasks: list[asyncio.Task[Any]] = []
_ABORTED = "went on after a statement had failed"
_DIDS: list[tuple[str, Any, str, int]] = [
    ("connection", lambda c: c.commit(), "Explicit commit() forbidden", 0),
    ("connection", lambda c: c.rollback(), "Explicit rollback() forbidden", 0),
    ("connection", lambda c: c.execute("commit"), "committed its transaction by itself", 1),
    ("connection", _commits_and_goes_on, "committed its transaction by itself", 1),
    ("connection", lambda c: c.execute("rollback"), "rolled its transaction back by itself", 0),
    ("connection", lambda c: c.close(), "closed its connection", 0),
    ("connection", lambda c: _swallows(c, "select nonsense"), _ABORTED, 0),
    ("connection", _leaves_running, "left a statement running", 0),
    ("sync connection", lambda c: c.commit(), "Explicit commit() forbidden", 0),
    ("sync connection", lambda c: c.rollback(), "Explicit rollback() forbidden", 0),
    ("sync connection", lambda c: c.execute("commit"), "committed its", 1),
    ("sync connection", lambda c: c.close(), "closed its connection", 0),
    ("sync connection", lambda c: _swallows_sync(c, "select nonsense"), _ABORTED, 0),
    ("session", lambda s: s.commit(), "leave commit() out", 0),
    ("session", lambda s: s.rollback(), "rolled its session back or closed it", 0),
    ("session", lambda s: s.close(), "rolled its session back or closed it", 0),
    ("session", lambda s: s.invalidate(), "rolled its session back or closed it", 0),
    ("session", lambda s: _swallows(s, text("select nonsense")), _ABORTED, 0),
    ("session", _swallows_flush, _ABORTED, 0),
    ("session", _commits_in_sql, "committed its transaction by itself", 1),
    ("sync session", lambda s: s.commit(), "leave commit() out", 0),
    ("sync session", lambda s: s.rollback(), "rolled its session back or closed it", 0),
    ("sync session", lambda s: s.close(), "rolled its session back or closed it", 0),
    ("sync session", lambda s: _swallows_sync(s, text("select nonsense")), _ABORTED, 0),
    ("sync session", _commits_in_sync_sql, "committed its transaction by itself", 1),
]


@pytest.mark.parametrize(("kind", "act", "told", "written"), _DIDS)
async def test_a_body_that_meddles_with_its_transaction_fails_its_step_and_is_told(
    stage: Stage, kind: str, act: Any, told: str, written: int
) -> None:
    """It isn't tried again unless it raised by itself; what it had committed can't be helped."""
    run = await stage.plays(KINDS[kind], act)
    error = step_of(run, "pay").error
    assert error is not None
    assert told in error.message, error
    assert statuses(run) == {"pay": "failed", "after": "skipped", "rescue": "completed"}
    assert len(await stage.effects()) == written * len(step_of(run, "pay").attempts)
    if error.type == "SquidMesh":
        assert (error.code, error.attempt) == ("broken_transaction", 1)
        assert KINDS[kind].pay.function.__name__ in error.message  # type: ignore[attr-defined]
    stage.script.act = nothing
    assert (await stage.plays(Joined)).status == "completed", "the pools are well"


async def test_a_body_that_commits_and_then_fails_says_both(stage: Stage) -> None:
    async def act(handle: Any) -> None:
        await handle.execute("commit")
        raise StepError("and then?")

    run = await stage.plays(OnConnection, act)
    error = step_of(run, "pay").error
    assert error is not None
    assert "committed its transaction by itself" in error.message
    assert "and then?" in error.message
    assert error.attempt == 1, "it isn't tried again"


@pytest.mark.parametrize("kind", ["session", "sync session"])
async def test_a_refused_commit_that_is_swallowed_changes_nothing(stage: Stage, kind: str) -> None:
    async def act(handle: AsyncSession) -> None:
        with pytest.raises(StepError, match="leave commit"):
            await handle.commit()
        handle.add(Effect(what="more"))

    def act_sync(handle: Session) -> None:
        with pytest.raises(StepError, match="leave commit"):
            handle.commit()
        handle.add(Effect(what="more"))

    run = await stage.plays(KINDS[kind], act if kind == "session" else act_sync)
    assert statuses(run)["pay"] == "completed"
    assert await stage.effects() == ["written", "more"]


@pytest.mark.parametrize("kind", ["session", "sync session"])
async def test_a_rollback_before_an_error_is_nothing_to_tell(stage: Stage, kind: str) -> None:
    """As every handler of errors around a session does."""

    async def act(handle: AsyncSession) -> None:
        await handle.rollback()
        raise StepError("its own")

    def act_sync(handle: Session) -> None:
        handle.rollback()
        raise StepError("its own")

    run = await stage.plays(KINDS[kind], act if kind == "session" else act_sync)
    error = step_of(run, "pay").error
    assert error is not None
    assert (error.message, error.attempt) == ("its own", 2)


class Undone(Exception):
    pass


async def test_a_part_can_be_undone(stage: Stage) -> None:
    async def on_connection(handle: AsyncConnection[Any]) -> None:
        with suppress(Undone):
            async with handle.transaction():
                await handle.execute(WRITE)
                raise Undone
        async with handle.transaction():
            await handle.execute("insert into effects (what) values ('kept')")

    async def in_session(handle: AsyncSession) -> None:
        with suppress(Undone):
            async with handle.begin_nested():
                handle.add(Effect(what="undone"))
                raise Undone
        async with handle.begin_nested():
            handle.add(Effect(what="kept"))

    def in_sync_session(handle: Session) -> None:
        nested = handle.begin_nested()
        handle.add(Effect(what="undone"))
        handle.flush()
        nested.rollback()
        with handle.begin_nested():
            handle.add(Effect(what="kept"))

    for workflow, act in (
        (OnConnection, on_connection),
        (InSession, in_session),
        (InSyncSession, in_sync_session),
    ):
        assert statuses(await stage.plays(workflow, act))["pay"] == "completed"
    assert await stage.effects() == ["written", "kept"] * 3
