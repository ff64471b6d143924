"""Workflows whose bodies write effects into a host's table, by every kind of handle."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg_pool import ConnectionPool
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from squid_mesh import (
    NoPayload,
    StepContext,
    StepError,
    Workflow,
    complete,
    connection,
    context,
    resource,
    session,
    step,
)
from tests.clock import every
from tests.laws.journal import Journal
from tests.laws.workflows import note
from tests.meshes import Workflows

_WRITE = "insert into effects (run, step) values (%(run)s, %(step)s)"
_WRITE_IN_SESSION = text("insert into effects (run, step) values (:run, :step)")


async def install(dsn: str) -> None:
    """Make the host's table. It would take any number of effects of a step."""
    await every(dsn, "create table effects (run uuid not null, step text not null)")


def facts(at: StepContext) -> dict[str, Any]:
    return {"run": at.run_id, "step": at.step}


async def on_connection(at: StepContext, connection: AsyncConnection[Any]) -> str:
    await connection.execute(_WRITE, facts(at))
    return at.step


def on_sync_connection(at: StepContext, connection: Connection[Any]) -> str:
    connection.execute(_WRITE, facts(at))
    return at.step


async def in_session(at: StepContext, session: AsyncSession) -> str:
    await session.execute(_WRITE_IN_SESSION, facts(at))
    return at.step


def in_sync_session(at: StepContext, session: Session) -> str:
    session.execute(_WRITE_IN_SESSION, facts(at))
    return at.step


async def write_and_hold(
    at: StepContext, connection: AsyncConnection[Any], journal: Journal
) -> str:
    await connection.execute(_WRITE, facts(at))
    await journal.hold(at)
    return at.step


async def break_after_writing(at: StepContext, connection: AsyncConnection[Any]) -> str:
    await connection.execute(_WRITE, facts(at))
    raise StepError("it is no use", retryable=False)


class PayOnConnection(Workflow[NoPayload]):
    pay = step(on_connection).takes(context, connection())
    after = step(note).takes(context, resource(Journal))
    flow = pay >> after >> complete


class PayOnSyncConnection(Workflow[NoPayload]):
    pay = step(on_sync_connection).takes(context, connection())
    after = step(note).takes(context, resource(Journal))
    flow = pay >> after >> complete


class PayInSession(Workflow[NoPayload]):
    pay = step(in_session).takes(context, session(AsyncSession))
    after = step(note).takes(context, resource(Journal))
    flow = pay >> after >> complete


class PayInSyncSession(Workflow[NoPayload]):
    pay = step(in_sync_session).takes(context, session(Session))
    after = step(note).takes(context, resource(Journal))
    flow = pay >> after >> complete


class PayTogether(Workflow[NoPayload]):
    """Two ways that come together, all of them with writes."""

    left = step(on_connection).takes(context, connection())
    right = step(in_sync_session).takes(context, session(Session))
    both = step(in_session, after=[left, right]).takes(context, session(AsyncSession))


class PayOtherwise(Workflow[NoPayload]):
    """A failure after a write, with a route that writes."""

    pay = step(break_after_writing).takes(context, connection())
    never = step(note).takes(context, resource(Journal))
    rescue = step(on_connection).takes(context, connection())
    flow = (
        pay >> never >> complete,
        pay.on_error >> rescue >> complete,
    )


class PayAtLeisure(Workflow[NoPayload]):
    pay = step(write_and_hold).takes(context, connection(), resource(Journal))
    after = step(note).takes(context, resource(Journal))
    flow = pay >> after >> complete


CRASHING: Workflows = [
    PayOnConnection,
    PayOnSyncConnection,
    PayInSession,
    PayInSyncSession,
    PayTogether,
    PayOtherwise,
]

WORKFLOWS: Workflows = [*CRASHING, PayAtLeisure]

EFFECTS = {
    "PayAtLeisure": {"pay"},
    "PayOnConnection": {"pay"},
    "PayOnSyncConnection": {"pay"},
    "PayInSession": {"pay"},
    "PayInSyncSession": {"pay"},
    "PayTogether": {"left", "right", "both"},
    "PayOtherwise": {"rescue"},
}
"""The effects of each run, whatever dies meanwhile: one of each."""

_TORN = """
select 'effect without its result', e.run, e.step
from effects e left join squid_mesh.steps s on s.run_id = e.run and s.step = e.step
where s.status is distinct from 'completed'
union all
select 'result without its effect', s.run_id, s.step
from squid_mesh.steps s join squid_mesh.runs r on r.id = s.run_id
where s.status = 'completed' and r.workflow like 'Pay%%' and s.step <> 'after'
  and not exists (select from effects where run = s.run_id and step = s.step)
union all
select 'effect twice', run, step from effects group by run, step having count(*) > 1
"""


async def torn(dsn: str) -> list[tuple[Any, ...]]:
    """Effects without results, results without effects, effects that are there twice."""
    return await every(dsn, _TORN)


async def effects(dsn: str) -> list[tuple[Any, ...]]:
    """Every effect, with its run's workflow."""
    return await every(
        dsn,
        "select r.workflow, e.step from effects e join squid_mesh.runs r on r.id = e.run"
        " order by 1, 2",
    )


@asynccontextmanager
async def makers(
    dsn: str,
    on_loop: type[AsyncConnection[Any]] = AsyncConnection,
    in_thread: type[Connection[Any]] = Connection,
) -> AsyncGenerator[list[object]]:
    """What a host gives its mesh for sessions and sync steps, on connections of these classes."""
    url = "postgresql+psycopg://"
    engine = create_async_engine(url, async_creator=lambda: on_loop.connect(dsn))
    sync_engine = create_engine(url, creator=lambda: in_thread.connect(dsn))
    pool = ConnectionPool(dsn, connection_class=in_thread, min_size=0, max_size=5, open=True)
    try:
        yield [async_sessionmaker(engine), sessionmaker(sync_engine), pool]
    finally:
        pool.close()
        await engine.dispose()
        sync_engine.dispose()
