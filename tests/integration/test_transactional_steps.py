"""Steps that commit their own writes, their result and what comes next as one."""

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
from psycopg.errors import SerializationFailure
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from sqlalchemy import create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from sqlalchemy.pool import StaticPool

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
from squid_mesh.runtime import transactions
from tests import database
from tests.clock import every, one
from tests.meshes import (
    QUEUE,
    Probe,
    Workflows,
    ended,
    eventually,
    history,
    message_of,
    oban_on,
    on_host,
    own_pool,
    play,
    statuses,
    step_of,
)

# -- bodies: each writes one effect, then does what its test says


class Base(DeclarativeBase):
    pass


class Effect(Base):
    __tablename__ = "effects"
    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str]


def _nothing(_: Any) -> None:
    return None


@dataclass
class Script:
    """What a body does after its first write. `calls` counts how often one began."""

    act: Callable[[Any], Any] = _nothing
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


@dataclass
class Host:
    """What an application's steps know of their application."""

    held: list[Mesh] = field(default_factory=list)

    @property
    def mesh(self) -> Mesh:
        return self.held[0]


class Starting(Workflow[NoPayload]):
    start = step(starts_another, retry=TWICE).takes(connection(), context, resource(Host))


class Cancelling(Workflow[NoPayload]):
    cancel = step(cancels_itself).takes(connection(), context, resource(Host))
    after = step(passed).takes(cancel.output, resource(Probe))


class Plain(Workflow[NoPayload]):
    work = step(rescued).takes(resource(Probe))


WORKFLOWS: Workflows = [
    *KINDS.values(),
    *(HandedOver, Ending, Joined, InTime, InTimeSync, InTimeSession, InTimeSyncSession),
    *(Starting, Cancelling, Plain),
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

    async def plays(self, workflow: type[Workflow[NoPayload]], act: Any = _nothing) -> RunDetails:
        self.script.act = act
        return await play(self.mesh, workflow)

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
    dsn: str, *, extra: tuple[object, ...] = (), **options: Any
) -> AsyncGenerator[Stage]:
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
            yield Stage(dsn, mesh, script, probe)
    finally:
        script.gate.set()
        await engine.dispose()
        sync_engine.dispose()


@pytest.fixture
async def stage(dsn: str) -> AsyncGenerator[Stage]:
    async with staged(dsn) as stage:
        yield stage


every_kind = pytest.mark.parametrize("kind", KINDS)


# -- one commit


@every_kind
async def test_writes_are_there_with_the_result(stage: Stage, kind: str) -> None:
    run = await stage.plays(KINDS[kind])
    assert run.status == "completed"
    assert run.context == {"pay": "done", "after": "done"}
    assert await stage.effects() == ["written"]
    assert stage.probe.calls == ["done"]


@every_kind
async def test_nobody_sees_them_before_and_nobody_waits(stage: Stage, kind: str) -> None:
    """The run is locked only once its body has returned."""
    hold = stage.script.hold if kind.startswith("sync") else stage.script.hold_on_loop
    stage.script.act = hold
    run = await stage.mesh.start_run(KINDS[kind])
    await stage.has_begun()
    assert await stage.effects() == []
    await every(stage.dsn, "select 1 from squid_mesh.runs where id = %s for update nowait", run.id)
    await every(
        stage.dsn, "select 1 from squid_mesh.steps where run_id = %s for update nowait", run.id
    )
    stage.script.gate.set()
    assert (await ended(stage.mesh, run.id)).status == "completed"
    assert await stage.effects() == ["written"]


async def test_writes_result_and_the_next_step_s_job_are_one_transaction(stage: Stage) -> None:
    run = await stage.mesh.start_run(HandedOver)

    async def is_handed_over() -> bool:
        return statuses(await history(stage.mesh, run.id))["after"] == "pending"

    await eventually(is_handed_over)
    writers = await every(
        stage.dsn,
        "select 'effect', xmin::text from effects union all"
        " select step, xmin::text from squid_mesh.steps union all"
        " select 'run', xmin::text from squid_mesh.runs union all"
        " select queue, xmin::text from oban_jobs where queue = 'nowhere'",
    )
    assert {what for what, _ in writers} == {"effect", "pay", "after", "run", "nowhere"}
    assert len({transaction for _, transaction in writers}) == 1


async def test_writes_and_the_run_s_end_are_one_transaction(stage: Stage) -> None:
    run = await stage.plays(Ending)
    assert run.status == "completed"
    assert await one(
        stage.dsn,
        "select count(distinct x) from (select xmin::text as x from effects"
        " union all select xmin::text from squid_mesh.steps"
        " union all select xmin::text from squid_mesh.runs) writers",
    ) == (1,)


async def test_a_join_is_counted_off_with_the_writes(stage: Stage) -> None:
    run = await stage.plays(Joined)
    assert run.status == "completed"
    assert statuses(run) == {"left": "completed", "right": "completed", "both": "completed"}
    assert await stage.effects() == ["written"] * 3


async def test_a_run_that_is_started_inside_commits_with_its_step(stage: Stage) -> None:
    run = await play(stage.mesh, Starting)
    other = await ended(stage.mesh, UUID(run.output(Starting.start)))
    assert other.status == "completed"
    page = await stage.mesh.list_runs(workflow=Ending)
    assert [listed.id for listed in page.runs] == [other.id], "none of the first attempt"
    assert await stage.effects() == ["written"] * 2


async def test_events_are_those_of_any_step(dsn: str) -> None:
    told: list[str] = []
    async with staged(dsn, observers=[lambda e: told.append(type(e).__name__)]) as stage:
        await stage.plays(Ending)
        told.clear()
        await stage.plays(Ending)
    assert told == ["RunCreated", "StepStarted", "StepCompleted", "RunEnded"]


# -- no commit


@every_kind
async def test_a_failure_leaves_no_writes_and_goes_by_its_policy(stage: Stage, kind: str) -> None:
    def breaks(_: Any) -> None:
        if stage.script.calls == 1:
            raise StepError("the first time always breaks")

    run = await stage.plays(KINDS[kind], breaks)
    assert run.status == "completed"
    assert [str(a.status) for a in step_of(run, "pay").attempts] == ["failed", "completed"]
    assert await stage.effects() == ["written"]


@every_kind
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_whatever_a_body_raises_rolls_back(
    stage: Stage, kind: str, error: BaseException
) -> None:
    def breaks(_: Any) -> None:
        raise error

    run = await stage.plays(KINDS[kind], breaks)
    assert run.status == "completed"
    assert statuses(run) == {"pay": "failed", "after": "skipped", "rescue": "completed"}
    assert await stage.effects() == []


@every_kind
async def test_an_output_that_cannot_be_stored_leaves_no_writes(stage: Stage, kind: str) -> None:
    run = await stage.plays(KINDS[kind], lambda _: "a\0b")
    error = step_of(run, "pay").error
    assert error is not None
    assert error.code == "invalid_output"
    assert await stage.effects() == []


async def test_a_result_that_the_database_refuses_leaves_no_writes(stage: Stage) -> None:
    await every(stage.dsn, "alter table squid_mesh.steps add check (output::text <> '\"no\"')")
    run = await stage.plays(OnConnection, lambda _: "no")
    error = step_of(run, "pay").error
    assert error is not None
    assert (error.code, error.attempt) == ("invalid_output", 1)
    assert "refused the result" in error.message
    assert await stage.effects() == []


async def test_a_body_whose_claim_was_lost_leaves_no_writes(stage: Stage) -> None:
    """Another process has taken over meanwhile, as this one looked dead."""
    stage.script.act = stage.script.hold_on_loop
    run = await stage.mesh.start_run(OnConnection)
    await stage.has_begun()
    await every(stage.dsn, "update squid_mesh.steps set claim = claim + 1000 where step = 'pay'")
    stage.script.gate.set()
    await stage.plays(Plain)

    async def is_over() -> bool:
        jobs = "select 1 from oban_jobs where args->>'run' = %s and state = 'executing'"
        return not await every(stage.dsn, jobs, str(run.id))

    await eventually(is_over)
    assert await stage.effects() == []
    assert stage.probe.calls == ["rescued"]


async def test_a_run_that_is_cancelled_meanwhile_keeps_its_step_and_goes_nowhere(
    stage: Stage,
) -> None:
    stage.script.act = stage.script.hold_on_loop
    run = await stage.mesh.start_run(OnConnection)
    await stage.has_begun()
    assert (await stage.mesh.cancel_run(run.id)).status == "cancelling"
    stage.script.gate.set()
    details = await ended(stage.mesh, run.id)
    assert details.status == "cancelled"
    assert statuses(details) == {"pay": "completed", "after": "skipped", "rescue": "skipped"}
    assert await stage.effects() == ["written"]
    assert stage.probe.calls == []


async def test_a_body_that_cancels_its_own_run_does_so_with_its_writes(stage: Stage) -> None:
    run = await play(stage.mesh, Cancelling)
    assert run.status == "cancelled"
    assert run.output(Cancelling.cancel) == "cancelling"
    assert await stage.effects() == ["written"]
    assert stage.probe.calls == []


# -- what a body mustn't do


async def _swallows(handle: Any, query: Any) -> None:
    try:
        result = handle.execute(query)
        if inspect.isawaitable(result):
            await result
    except Exception:  # noqa: BLE001, S110  # as careless code does
        pass


def _swallows_sync(handle: Any, query: Any) -> None:
    try:
        handle.execute(query)
    except Exception:  # noqa: BLE001, S110  # as careless code does
        pass


async def _swallows_flush(handle: Any) -> None:
    try:
        handle.add(Effect(what=None))
        await handle.flush()
    except Exception:  # noqa: BLE001, S110  # as careless code does
        pass


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
    ("sync connection", lambda c: [c.execute("commit")] and None, "committed its", 1),
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
    stage.script.act = _nothing
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


async def test_a_part_can_be_undone(stage: Stage) -> None:
    async def on_connection(handle: AsyncConnection[Any]) -> None:
        with pytest.raises(ValueError, match="undone"):
            async with handle.transaction():
                await handle.execute(WRITE)
                raise ValueError("undone")
        async with handle.transaction():
            await handle.execute("insert into effects (what) values ('kept')")

    async def in_session(handle: AsyncSession) -> None:
        with pytest.raises(ValueError, match="undone"):
            async with handle.begin_nested():
                handle.add(Effect(what="undone"))
                raise ValueError("undone")
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


# -- errors of the database


@every_kind
async def test_a_constraint_that_is_checked_at_the_end_fails_the_step(
    stage: Stage, kind: str
) -> None:
    def violate(handle: Any) -> Any:
        query = "insert into numbers values (1)"
        return _done(handle.execute(text(query) if "session" in kind else query))

    run = await stage.plays(KINDS[kind], violate)
    error = step_of(run, "pay").error
    assert error is not None
    assert error.type in {"UniqueViolation", "IntegrityError"}
    assert "numbers_n_key" in error.message
    assert error.attempt == 2, "by the step's policy"
    assert await stage.effects() == []


def _done(result: Any) -> Any:
    """What awaiting a result comes to, without its value."""

    async def awaited() -> None:
        await result

    return awaited() if inspect.isawaitable(result) else None


@pytest.mark.parametrize("kind", ["connection", "session"])
async def test_a_conflict_in_the_body_goes_by_the_step_s_policy(stage: Stage, kind: str) -> None:
    async def conflict(handle: Any) -> None:
        if stage.script.calls == 1:
            raise SerializationFailure("could not serialize access")

    run = await stage.plays(KINDS[kind], conflict)
    assert [str(a.status) for a in step_of(run, "pay").attempts] == ["failed", "completed"]
    assert await stage.effects() == ["written"]


TERMINATE = "select pg_terminate_backend(pg_backend_pid())"


@every_kind
async def test_a_connection_that_is_lost_interrupts_the_attempt(stage: Stage, kind: str) -> None:
    """As when the server restarts: it is no failure of the body's, and uses up no try."""

    def terminate(handle: Any) -> Any:
        if stage.script.calls > 1:
            return None
        query = TERMINATE
        return _done(handle.execute(text(query) if "session" in kind else query))

    run = await stage.plays(KINDS[kind], terminate)
    assert run.status == "completed"
    assert [str(a.status) for a in step_of(run, "pay").attempts] == ["interrupted", "completed"]
    assert await stage.effects() == ["written"]


async def test_a_body_that_always_loses_its_connection_is_given_up(dsn: str) -> None:
    async with staged(dsn, heartbeat=timedelta(seconds=0.05)) as stage:
        run = await stage.plays(OnConnection, lambda c: c.execute(TERMINATE))
    error = step_of(run, "pay").error
    assert error is not None
    assert error.code == "interrupted"
    assert "connection" in error.message
    assert statuses(run)["rescue"] == "completed"


@asynccontextmanager
async def held(dsn: str, run: UUID) -> AsyncGenerator[None]:
    """A host's transaction that holds a run."""
    async with await AsyncConnection.connect(dsn) as host:
        await host.execute("select 1 from squid_mesh.runs where id = %s for update", (run,))
        yield
        await host.rollback()


@every_kind
async def test_a_run_that_somebody_holds_is_waited_for_with_the_writes(
    stage: Stage, kind: str
) -> None:
    hold = stage.script.hold if kind.startswith("sync") else stage.script.hold_on_loop
    stage.script.act = hold
    run = await stage.mesh.start_run(KINDS[kind])
    await stage.has_begun()
    async with held(stage.dsn, run.id):
        stage.script.gate.set()
        await stage.plays(Plain)
        assert (await stage.mesh.inspect_run(run.id)).status == "running"
    assert (await ended(stage.mesh, run.id)).status == "completed"
    assert stage.script.calls == 1
    assert await stage.effects() == ["written"]


async def test_a_run_that_is_held_for_long_lets_go_of_the_host_s_locks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that holds the run and waits for what the body has locked would wait for good."""
    monkeypatch.setattr(transactions, "PATIENCE", 0.1)
    await every(stage.dsn, "insert into effects (what) values ('shared')")

    async def locks(handle: AsyncConnection[Any]) -> None:
        await handle.execute("update effects set what = what || '!' where what like 'shared%'")
        await stage.script.hold_on_loop(handle)

    stage.script.act = locks
    run = await stage.mesh.start_run(OnConnection)
    await stage.has_begun()
    async with held(stage.dsn, run.id):
        async with await AsyncConnection.connect(stage.dsn) as host:
            stage.script.gate.set()
            await host.execute("update effects set what = what || '?' where what like 'shared%'")
    details = await ended(stage.mesh, run.id)
    assert details.status == "completed"
    assert [str(a.status) for a in step_of(details, "pay").attempts][-1] == "completed"
    assert "interrupted" in [str(a.status) for a in step_of(details, "pay").attempts]
    assert sorted(await stage.effects()) == ["shared?!", "written"]


# -- timeouts


@pytest.mark.parametrize("workflow", [InTime, InTimeSession])
async def test_a_body_that_takes_too_long_leaves_no_writes(
    stage: Stage, workflow: type[Workflow[NoPayload]]
) -> None:
    run = await stage.plays(workflow, stage.script.hold_on_loop)
    assert run.status == "failed"
    assert message_of(run) == "timed out after 0.3 s"
    assert await stage.effects() == []


@pytest.mark.parametrize("workflow", [InTimeSync, InTimeSyncSession])
async def test_a_thread_that_takes_too_long_commits_nothing_later(
    stage: Stage, workflow: type[Workflow[NoPayload]]
) -> None:
    """Not even with all its might; and its locks are free at once."""
    came_to: list[BaseException] = []

    def act(handle: Any) -> None:
        stage.script.hold(handle)
        try:
            query = "insert into effects (what) values ('late'); commit"
            handle.execute(text(query) if isinstance(handle, Session) else query)
        except Exception as error:
            came_to.append(error)
            raise

    async def lets_go() -> bool:
        waiting = "select 1 from pg_stat_activity where state like 'idle in transaction%%'"
        return not await every(stage.dsn, waiting)

    run = await stage.plays(workflow, act)
    assert run.status == "failed"
    assert message_of(run) == "timed out after 0.3 s"
    await eventually(lets_go)
    stage.script.gate.set()

    async def is_over() -> bool:
        return bool(came_to)

    await eventually(is_over)
    assert await stage.effects() == []
    stage.script.act = _nothing
    assert (await stage.plays(Joined)).status == "completed"


async def test_a_thread_that_waits_in_the_database_is_cancelled_there(stage: Stage) -> None:
    ended: list[BaseException] = []

    def act(handle: Connection[Any]) -> None:
        try:
            handle.execute("select pg_sleep(60)")
        except Exception as error:
            ended.append(error)
            raise

    run = await stage.plays(InTimeSync, act)
    assert message_of(run) == "timed out after 0.3 s"

    async def has_ended() -> bool:
        return bool(ended)

    await eventually(has_ended, within=timedelta(seconds=10))


# -- what a host has


async def test_what_is_missing_is_named(dsn: str) -> None:
    async with staged(dsn, makers=()) as stage:
        for workflow, missing in (
            (InSession, "async_sessionmaker"),
            (InSyncSession, "sessionmaker"),
        ):
            error = step_of(await stage.plays(workflow), "pay").error
            assert error is not None
            assert (error.code, error.attempt) == ("invalid_input", 1)
            assert f"{missing} in resources=[…]" in error.message


async def test_engines_that_share_no_transaction_are_named(
    dsn: str, databases: database.Databases
) -> None:
    in_memory = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    with databases.fresh() as elsewhere:
        await every(elsewhere, _TABLES)
        for url, options, told in (
            ("sqlite://", in_memory, "the session's engine is on sqlite3"),
            (sqlalchemy_dsn(dsn), {"isolation_level": "AUTOCOMMIT"}, "AUTOCOMMIT"),
            (sqlalchemy_dsn(elsewhere), {}, "has no run"),
        ):
            engine = create_engine(url, **options)
            await every(dsn, "drop table if exists effects, numbers")
            async with staged(dsn, makers=[sessionmaker(engine)]) as stage:
                error = step_of(await stage.plays(InSyncSession), "pay").error
            engine.dispose()
            assert error is not None
            assert (error.code, error.attempt) == ("invalid_input", 1)
            assert told in error.message
            assert stage.script.calls == 0


@pytest.mark.parametrize(
    "options",
    [
        {"row_factory": dict_row},
        {"autocommit": True},
        {"prepare_threshold": None},
        {"options": "-c default_transaction_isolation=serializable"},
    ],
    ids=str,
)
async def test_how_a_host_sets_up_its_pool_does_not_matter(
    dsn: str, options: dict[str, Any]
) -> None:
    seen: list[Any] = []

    async def act(handle: AsyncConnection[Any]) -> None:
        seen.append(await (await handle.execute("select 1 as one")).fetchone())

    def act_sync(handle: Connection[Any]) -> None:
        seen.append(handle.execute("select 1 as one").fetchone())

    await every(dsn, _TABLES)
    script, probe = Script(), Probe()
    async with own_pool(dsn) as obans, own_pool(dsn, kwargs=options) as hosts:
        oban = oban_on(obans)
        mesh = Mesh(hosts, oban=oban, workflows=WORKFLOWS, resources=[script, probe])
        async with oban, mesh:
            stage = Stage(dsn, mesh, script, probe)
            assert statuses(await stage.plays(OnConnection, act))["after"] == "completed"
            assert statuses(await stage.plays(OnSyncConnection, act_sync))["after"] == "completed"
            assert await stage.effects() == ["written"] * 2
    row = {"one": 1} if "row_factory" in options else (1,)
    assert seen == [row, row]


async def test_a_sync_pool_of_the_host_s_is_used(dsn: str) -> None:
    with ConnectionPool(dsn, kwargs={"application_name": "mine"}, min_size=1, open=True) as pool:
        async with staged(dsn, extra=(pool,)) as stage:
            run = await stage.plays(
                OnSyncConnection, lambda c: c.execute("show application_name").fetchone()[0]
            )
    assert run.context["pay"] == "mine"


async def test_a_host_s_listeners_are_heard(stage: Stage) -> None:
    """And what they raise after the commit changes nothing of it."""
    told: list[str] = []

    def act(handle: Session) -> None:
        event.listen(handle, "before_commit", lambda _: told.append("before"))
        event.listen(handle, "after_commit", after)

    def after(_: Session) -> None:
        told.append("after")
        raise ValueError("a listener's")

    run = await stage.plays(InSyncSession, act)
    assert statuses(run)["pay"] == "completed"
    assert told == ["before", "after"]
    assert await stage.effects() == ["written"]


async def test_bodies_that_take_their_time_leave_connections_to_others(dsn: str) -> None:
    """The pool has four: two are left to Oban and to whoever calls the mesh."""
    async with staged(dsn, pool={"max_size": 4, "timeout": 5}, queues={QUEUE: 20}) as stage:
        stage.script.act = stage.script.hold_on_loop
        slow = await stage.mesh.start_runs(OnConnection, [{}] * 10)
        await stage.has_begun()
        async with asyncio.timeout(4):
            run = await stage.mesh.start_run(Plain, key="needs a connection of the pool")
            assert (await ended(stage.mesh, run.id)).status == "completed"
        assert stage.script.calls == 2
        stage.script.gate.set()
        for one_of_them in slow:
            assert (await ended(stage.mesh, one_of_them.id)).status == "completed"
    assert await stage.effects() == ["written"] * 10
