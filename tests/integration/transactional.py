"""The stage of transactional steps: their bodies, workflows and hosts."""

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection, Connection
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from squid_mesh import (
    Constant,
    Mesh,
    NoPayload,
    Retry,
    RunDetails,
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
from tests.meshes import (
    Probe,
    Workflows,
    eventually,
    on_host,
    play,
)

# -- bodies: each writes one effect, then does what its test says


class Base(DeclarativeBase):
    pass


class Effect(Base):
    __tablename__ = "effects"
    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str]


def nothing(_: Any) -> None:
    return None


@dataclass
class Script:
    """What a body does after its first write. `calls` counts how often one began."""

    act: Callable[[Any], Any] = nothing
    calls: int = 0
    begun: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        self.calls += 1
        self.begun.set()

    async def play(self, handle: Any) -> Any:
        result = self.act(handle)
        return await result if inspect.isawaitable(result) else result

    def hold(self, _: Any) -> None:
        """Wait in a thread until the test lets go."""
        assert self.gate.wait(timeout=30)

    async def hold_on_loop(self, _: Any) -> None:
        while not self.gate.is_set():  # noqa: ASYNC110  # set by tests of both kinds
            await asyncio.sleep(0.01)


def said(result: Any) -> str:
    """What a script has its body return."""
    return result if isinstance(result, str) else "done"


WRITE = "insert into effects (what) values ('written')"


async def on_connection(connection: AsyncConnection[Any], script: Script) -> str:
    script.begin()
    await connection.execute(WRITE)
    return said(await script.play(connection))


def on_sync_connection(connection: Connection[Any], script: Script) -> str:
    script.begin()
    connection.execute(WRITE)
    return said(script.act(connection))


async def in_session(session: AsyncSession, script: Script) -> str:
    script.begin()
    session.add(Effect(what="written"))
    return said(await script.play(session))


def in_sync_session(session: Session, script: Script) -> str:
    script.begin()
    session.add(Effect(what="written"))
    return said(script.act(session))


async def passed(what: str, probe: Probe) -> str:
    probe.note(what)
    return what


async def rescued(probe: Probe) -> str:
    probe.note("rescued")
    return "rescued"


TWICE = Retry(2, Constant(timedelta(seconds=0.01)), jitter=False)
SOON = timedelta(seconds=0.3)


class OnConnection(Workflow[NoPayload]):
    pay = step(on_connection, retry=TWICE).takes(connection(), resource(Script))
    after = step(passed).takes(pay.output, resource(Probe))
    rescue = step(rescued).takes(resource(Probe))
    flow = (pay >> after >> complete, pay.on_error >> rescue >> complete)


class OnSyncConnection(Workflow[NoPayload]):
    pay = step(on_sync_connection, retry=TWICE).takes(connection(), resource(Script))
    after = step(passed).takes(pay.output, resource(Probe))
    rescue = step(rescued).takes(resource(Probe))
    flow = (pay >> after >> complete, pay.on_error >> rescue >> complete)


class InSession(Workflow[NoPayload]):
    pay = step(in_session, retry=TWICE).takes(session(AsyncSession), resource(Script))
    after = step(passed).takes(pay.output, resource(Probe))
    rescue = step(rescued).takes(resource(Probe))
    flow = (pay >> after >> complete, pay.on_error >> rescue >> complete)


class InSyncSession(Workflow[NoPayload]):
    pay = step(in_sync_session, retry=TWICE).takes(session(Session), resource(Script))
    after = step(passed).takes(pay.output, resource(Probe))
    rescue = step(rescued).takes(resource(Probe))
    flow = (pay >> after >> complete, pay.on_error >> rescue >> complete)


KINDS: Mapping[str, type[Workflow[NoPayload]]] = {
    "connection": OnConnection,
    "sync connection": OnSyncConnection,
    "session": InSession,
    "sync session": InSyncSession,
}


class HandedOver(Workflow[NoPayload]):
    """Its next step is in a queue that nobody serves."""

    pay = step(on_connection).takes(connection(), resource(Script))
    after = step(passed, queue="nowhere").takes(pay.output, resource(Probe))
    flow = pay >> after >> complete


class Ending(Workflow[NoPayload]):
    pay = step(on_connection).takes(connection(), resource(Script))


class Joined(Workflow[NoPayload]):
    left = step(on_connection).takes(connection(), resource(Script))
    right = step(in_sync_session).takes(session(Session), resource(Script))
    both = step(in_session, after=[left, right]).takes(session(AsyncSession), resource(Script))


class InTime(Workflow[NoPayload]):
    pay = step(on_connection, timeout=SOON).takes(connection(), resource(Script))


class InTimeSync(Workflow[NoPayload]):
    pay = step(on_sync_connection, timeout=SOON).takes(connection(), resource(Script))


class InTimeSession(Workflow[NoPayload]):
    pay = step(in_session, timeout=SOON).takes(session(AsyncSession), resource(Script))


class InTimeSyncSession(Workflow[NoPayload]):
    pay = step(in_sync_session, timeout=SOON).takes(session(Session), resource(Script))


async def starts_another(connection: AsyncConnection[Any], at: StepContext, host: "Host") -> str:
    await connection.execute(WRITE)
    run = await host.mesh.start_run(Ending, conn=connection)
    if at.attempt == 1:
        raise StepError("the first time always breaks")
    return str(run.id)


async def cancels_itself(connection: AsyncConnection[Any], at: StepContext, host: "Host") -> str:
    await connection.execute(WRITE)
    return str((await host.mesh.cancel_run(at.run_id, conn=connection)).status)


async def cancels_rival(connection: AsyncConnection[Any], at: StepContext, host: "Host") -> str:
    await connection.execute(WRITE)
    await host.ready.wait()
    host.calls += 1
    await host.mesh.cancel_run(host.rivals[at.run_id], conn=connection)
    if host.calls <= len(host.rivals):
        await host.all_there.wait()
    return "won"


@dataclass
class Host:
    """What an application's steps know of their application."""

    held: list[Mesh] = field(default_factory=list)
    rivals: dict[UUID, UUID] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    all_there: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(2))
    calls: int = 0

    @property
    def mesh(self) -> Mesh:
        return self.held[0]


class Starting(Workflow[NoPayload]):
    start = step(starts_another, retry=TWICE).takes(connection(), context, resource(Host))


class Cancelling(Workflow[NoPayload]):
    cancel = step(cancels_itself).takes(connection(), context, resource(Host))
    after = step(passed).takes(cancel.output, resource(Probe))


class Rival(Workflow[NoPayload]):
    work = step(cancels_rival).takes(connection(), context, resource(Host))


class Plain(Workflow[NoPayload]):
    work = step(rescued).takes(resource(Probe))


WORKFLOWS: Workflows = [
    *KINDS.values(),
    *(HandedOver, Ending, Joined, InTime, InTimeSync, InTimeSession, InTimeSyncSession),
    *(Starting, Cancelling, Rival, Plain),
]

_TABLES = """
create table effects (id integer primary key generated always as identity, what text not null);
create table numbers (n integer unique deferrable initially deferred);
insert into numbers values (1);
"""


@dataclass
class Stage:
    """A mesh with everything that transactional steps may be handed."""

    dsn: str
    mesh: Mesh
    script: Script
    probe: Probe
    host: Host

    async def plays(self, workflow: type[Workflow[NoPayload]], act: Any = nothing) -> RunDetails:
        self.script.act = act
        return await play(self.mesh, workflow)

    def holds(self, kind: str) -> None:
        """Keep bodies of this kind until the gate is open."""
        script = self.script
        script.act = script.hold if kind.startswith("sync") else script.hold_on_loop

    async def effects(self) -> list[str]:
        rows = await every(self.dsn, "select what from effects order by id")
        return [what for (what,) in rows]

    async def has_begun(self) -> None:
        async def has() -> bool:
            return self.script.begun.is_set()

        await eventually(has)


def sqlalchemy_dsn(dsn: str) -> str:
    return dsn.replace("postgresql://", "postgresql+psycopg://")


@asynccontextmanager
async def staged(
    dsn: str, *, extra: tuple[object, ...] = (), makes_tables: bool = True, **options: Any
) -> AsyncGenerator[Stage]:
    if makes_tables:
        await every(dsn, _TABLES)
    engine, sync_engine = (
        create_async_engine(sqlalchemy_dsn(dsn)),
        create_engine(sqlalchemy_dsn(dsn)),
    )
    script, probe, host = Script(), Probe(), Host()
    makers = (async_sessionmaker(engine), sessionmaker(sync_engine))
    resources = [
        script,
        probe,
        host,
        *(makers if "makers" not in options else options.pop("makers")),
    ]
    options.setdefault("heartbeat", timedelta(seconds=0.2))
    try:
        async with on_host(dsn, WORKFLOWS, resources=[*resources, *extra], **options) as mesh:
            host.held.append(mesh)
            yield Stage(dsn, mesh, script, probe, host)
    finally:
        script.gate.set()
        pools: list[Any] = [engine.sync_engine.pool, sync_engine.pool]

        async def are_back() -> bool:
            return not any(pool.checkedout() for pool in pools)

        await eventually(are_back)  # also of bodies that were given up as the mesh stopped
        await engine.dispose()
        sync_engine.dispose()


every_kind = pytest.mark.parametrize("kind", KINDS)
