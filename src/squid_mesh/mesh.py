"""The composition root: one mesh of workflows in one process, and the calls that a host makes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Literal, Self, TypedDict, Unpack, overload
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from squid_mesh.definition.handed import Decision
from squid_mesh.definition.payload import Payload
from squid_mesh.definition.spec import StepKind
from squid_mesh.definition.values import Codec
from squid_mesh.definition.workflow import Workflow
from squid_mesh.dispatch import oban as dispatch
from squid_mesh.dispatch.oban import Oban
from squid_mesh.engine.states import ENDED, RunStatus
from squid_mesh.errors import InvalidConfig, InvalidRunId, NotOpen, WaitTimeout
from squid_mesh.inspection import reading
from squid_mesh.inspection.models import Run, RunDetails, RunPage, Schedule
from squid_mesh.inspection.reader import Reader
from squid_mesh.runtime.cancelling import cancel
from squid_mesh.runtime.catalog import Catalog, Plan
from squid_mesh.runtime.process import Process
from squid_mesh.runtime.settings import Gathered, Settings
from squid_mesh.runtime.starter import Held, Started, Starter
from squid_mesh.runtime.starting import Request, to_start
from squid_mesh.runtime.surroundings import Resources
from squid_mesh.store import migrations
from squid_mesh.store.hosts import cursor_on
from squid_mesh.store.schedules import Name
from squid_mesh.store.statements import Statements
from squid_mesh.store.writes import Queueing
from squid_mesh.telemetry import Observer, RunCancelRequested, Telemetry

type Pool = AsyncConnectionPool[Any]

LONGEST_PAGE = 1000
"""Runs on one page of `list_runs`, at most."""

_INSTALLATION = 0x4F42414E  # "OBAN": one installation at a time in a database


class Options(TypedDict, total=False):
    """The options of `Mesh` that `Mesh.connect` passes on."""

    schema: str
    queue: str
    resources: Iterable[object]
    actions: Iterable[Callable[..., Any]]
    observers: Iterable[Observer]
    direct_dsn: str | None
    heartbeat: timedelta
    lease: timedelta
    blocked: timedelta
    grace: timedelta


class Mesh:
    """Workflows of one process, on the host's own Postgres pool and Oban.

    `async with oban, mesh:` in this order. The mesh keeps a few connections of its own beside the
    pool, which is for steps and readers; `direct_dsn` says where to, when the pool goes through
    a pooler that has no sessions.

    * `workflows`: the classes whose runs this process starts and drives.
    * `name`: what jobs are registered under; two meshes on one Oban need two names.
    * `schema`: where the tables are; `queue`: the Oban queue of steps that name none.
    * `resources`: objects that steps wire with `resource(T)`; a SQLAlchemy `async_sessionmaker` or
      `sessionmaker` makes what they wire with `session(…)`.
    * `actions`: functions that only runs of earlier definitions still call.
    * `observers`: called with each event of `squid_mesh.telemetry`, after its commit.
    * `heartbeat`, `lease`: how often this process says that it lives, and after how long a silence
      others take over its steps; `blocked`: after how long its event loop not answering.
    * `grace`: how long `async with` waits for steps under way when it ends.

    Raises `InvalidConfig` with every setting that is wrong.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        oban: Oban,
        workflows: Sequence[type[Workflow[Any]]],
        name: str = "squid_mesh",
        schema: str = "squid_mesh",
        queue: str = "squid_mesh",
        resources: Iterable[object] = (),
        actions: Iterable[Callable[..., Any]] = (),
        observers: Iterable[Observer] = (),
        direct_dsn: str | None = None,
        heartbeat: timedelta = timedelta(seconds=2),
        lease: timedelta = timedelta(seconds=10),
        blocked: timedelta = timedelta(seconds=60),
        grace: timedelta = timedelta(seconds=15),
    ) -> None:
        self._pool = pool
        self._oban = oban
        self._owns_both = False
        self._installs = False
        self._telemetry = Telemetry(observers)
        self._running: Process | None = None
        self._open = AsyncExitStack()
        config = Gathered()
        with config.part():
            self._statements = Statements(schema, dispatch.prefix_of(oban))
        with config.part():
            self._catalog = Catalog(workflows, actions, self._load_definition)
        with config.part():
            self._resources = Resources(resources)
        with config.part():
            self._settings = Settings.of(
                name=name,
                dsn=direct_dsn or _dsn_of(pool),
                queueing=Queueing(queue, dispatch.worker_of(name)),
                heartbeat=heartbeat,
                lease=lease,
                blocked=blocked,
                grace=grace,
            )
        config.tell()
        dispatch.register(self._settings.name)
        self._reader = Reader(self._statements)
        self._starter = Starter(pool, self._statements, self._settings.queueing, self._telemetry)

    @classmethod
    def connect(
        cls,
        dsn: str,
        *,
        workflows: Sequence[type[Workflow[Any]]],
        queues: Mapping[str, int],
        install: bool = False,
        name: str = "squid_mesh",
        max_connections: int = 10,
        **options: Unpack[Options],
    ) -> Self:
        """A mesh with a pool and an Oban of its own, for a process that has neither.

        `queues` says how many steps each queue runs at once here. With `install` the tables of Oban
        and of Squid Mesh are created where they are missing. The rest as for `Mesh`.
        """
        pool: Pool = AsyncConnectionPool(dsn, open=False, min_size=1, max_size=max_connections)
        oban = dispatch.own_oban(pool, name, dict(queues))
        mesh = cls(pool, oban=oban, workflows=workflows, name=name, **options)
        mesh._owns_both = True
        mesh._installs = install
        return mesh

    # life

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drain and stop."""
        await self.stop()

    async def start(self) -> None:
        """Begin to start and drive runs. Raises `NotInstalled` when tables are missing."""
        async with AsyncExitStack() as opening:
            if self._owns_both:
                await opening.enter_async_context(self._pool)
            if self._installs:
                await self.install()
            async with self._pool.connection() as connection:
                await dispatch.check(connection, self._statements.oban)
                await migrations.check(connection, self._statements)
            await self._register()
            process = Process(
                self._settings,
                self._statements,
                self._catalog,
                self._resources,
                self._telemetry,
                self._pool,
            )
            await process.start()
            opening.push_async_callback(process.stop)
            await process.scheduler.register()
            dispatch.attach(self._settings.name, process.driver.drive, process.scheduler.fire)
            opening.callback(dispatch.detach, self._settings.name)
            if self._owns_both:
                await self._oban.start()
                opening.push_async_callback(self._oban.stop)
            opening.push_async_callback(process.drain)
            self._open = opening.pop_all()
            self._running = process

    async def stop(self) -> None:
        """Begin nothing more, let steps under way end, and let go of everything."""
        self._running = None
        await self._open.aclose()

    @property
    def _process(self) -> Process:
        if self._running is None:
            raise NotOpen(self._settings.name)
        return self._running

    async def migrate(self) -> list[str]:
        """Install or upgrade the mesh's own tables; the names of the migrations applied.

        Safe to run twice, and from several processes at once. Oban's tables are the host's.
        """
        async with self._pool.connection() as connection:
            return await migrations.migrate(connection, self._statements)

    async def install(self) -> None:
        """Create Oban's tables and the mesh's own where they are missing."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(%s)", (_INSTALLATION,))
            await dispatch.install(connection, self._statements.oban)
            await migrations.migrate(connection, self._statements)

    # starting

    async def start_run[T: Payload](
        self,
        workflow: type[Workflow[T]],
        payload: T | Mapping[str, Any] | None = None,
        *,
        trigger: str | None = None,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int = 0,
        conn: Any = None,
    ) -> Run:
        """Start a run and return it, `pending`.

        * `trigger`: the first declared one unless named.
        * `key`: makes starting idempotent: a key that is known, with the same trigger and payload,
          gives the run that holds it, as it is now, with `created=False`.
        * `priority`: lower begins first, from -2 to 4.
        * `conn`: the host's connection or session; the run then commits, or not, with the host's
          own writes.

        Raises `InvalidPayload`, `InvalidTrigger`, `UnknownWorkflow`, `PayloadTooLarge` or
        `KeyConflict`; nothing is written then.
        """
        definition = self._catalog.definition(workflow)
        request = Request(payload=payload, trigger=trigger, key=key, tags=tags, priority=priority)
        start = to_start(definition, request)
        started = await self._starter.start(start, self._process.ledger, conn)
        return await self._as_run(started, conn)

    async def start_runs[T: Payload](
        self,
        workflow: type[Workflow[T]],
        payloads: Sequence[T | Mapping[str, Any]],
        *,
        keys: Sequence[str | None] | None = None,
        tags: Mapping[str, str] | None = None,
        conn: Any = None,
    ) -> list[Run]:
        """Start a run for each payload, in order: all of them, or none.

        Raises what `start_run` raises; `InvalidPayload.index` is the place of the payload.
        """
        definition = self._catalog.definition(workflow)
        keys = keys if keys is not None else [None] * len(payloads)
        if len(keys) != len(payloads):
            raise ValueError(f"{len(keys)} keys for {len(payloads)} payloads: give one for each")
        starts = [
            to_start(definition, Request(payload=payload, key=key, tags=tags), index)
            for index, (payload, key) in enumerate(zip(payloads, keys, strict=True))
        ]
        started = await self._starter.start_all(starts, conn)
        return [await self._as_run(one, conn) for one in started]

    async def _as_run(self, started: Started | Held, conn: Any) -> Run:
        match started:
            case Started(start, inserted_at):
                spec = self._catalog.definition(start.workflow).spec
                return reading.pending(start, inserted_at, reading.secrets(spec))
            case Held(run_id):
                async with self._starter.connection(conn) as connection:
                    return await self._read(connection, run_id, created=False)

    # ending

    async def cancel_run(
        self,
        run_id: UUID | str,
        *,
        actor: str | Mapping[str, Any] | None = None,
        comment: str | None = None,
        conn: Any = None,
    ) -> Run:
        """Cancel a run: `cancelled` at once, or `cancelling` until the bodies under way have ended.

        After this has returned (with `conn`: after the host's commit) no step of the run begins.
        Cancelling twice changes nothing. Raises `InvalidRunId`, `RunNotFound`, or
        `InvalidTransition` for a run that has completed or failed.
        """
        wanted = _run_id(run_id)
        async with self._starter.transaction(conn) as connection:
            status = await cancel(
                connection, self._statements, wanted, actor=actor, comment=comment
            )
            run = await self._read(connection, wanted)
        if conn is None:
            self._process.waiters.tell(wanted, status)
            self._telemetry.tell(
                RunCancelRequested(run_id=wanted, workflow=run.workflow, status=status)
            )
        return run

    # looking

    @overload
    async def inspect_run(self, run_id: UUID | str) -> Run: ...
    @overload
    async def inspect_run(
        self, run_id: UUID | str, *, include_history: Literal[True]
    ) -> RunDetails: ...
    @overload
    async def inspect_run(
        self, run_id: UUID | str, *, include_history: bool
    ) -> Run | RunDetails: ...
    async def inspect_run(
        self, run_id: UUID | str, *, include_history: bool = False
    ) -> Run | RunDetails:
        """A run; with `include_history` a `RunDetails`. Raises `InvalidRunId` or `RunNotFound`."""
        wanted = _run_id(run_id)
        async with self._pool.connection() as connection:
            if not include_history:
                return await self._read(connection, wanted)
            row = await self._reader.row(connection, wanted)
            plan = await self._catalog.plan(row["definition"])
            return await self._reader.details(connection, row, plan.graph.spec, _codecs(plan))

    async def wait_for_run(
        self,
        run_id: UUID | str,
        *,
        until: Collection[RunStatus] = ENDED,
        timeout: timedelta,
    ) -> Run:
        """The run, once its status is one of `until`; `WaitTimeout` has the run as it is."""
        wanted = _run_id(run_id)
        run = await self.inspect_run(wanted)
        if run.status in until:
            return run
        seconds = timeout.total_seconds()
        arrived = await self._process.waiters.wait(wanted, until, seconds)
        run = await self.inspect_run(wanted)
        if not arrived and run.status not in until:
            raise WaitTimeout(run, seconds)
        return run

    async def list_runs(
        self,
        *,
        workflow: type[Workflow[Any]] | str | None = None,
        status: RunStatus | Collection[RunStatus] | None = None,
        trigger: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> RunPage:
        """Runs, newest first, without payloads; `cursor` is the `next_cursor` of the page before.

        Raises `ValueError` for a limit outside 1 to 1000 or a cursor that no page gave.
        """
        if not 1 <= limit <= LONGEST_PAGE:
            raise ValueError(f"limit={limit}: ask for 1 to {LONGEST_PAGE} runs")
        statuses = {RunStatus(status)} if isinstance(status, str) else status
        async with self._pool.connection() as connection:
            return await self._reader.page(
                connection,
                workflow=_workflow_name(workflow),
                statuses=statuses,
                trigger=trigger,
                limit=limit,
                cursor=cursor,
            )

    # schedules

    async def schedules(self) -> list[Schedule]:
        """Every cron trigger, with its next and last window."""
        async with self._pool.connection() as connection:
            return await self._reader.schedules(connection)

    async def pause_schedule(self, workflow: type[Workflow[Any]] | str, trigger: str) -> Schedule:
        """Stop firing a cron trigger; after this has returned none of its windows starts a run.

        Pausing twice changes nothing. Raises `InvalidTrigger`.
        """
        name = Name(_name_of(workflow), trigger)
        await self._process.scheduler.pause(name)
        return await self._schedule(name)

    async def resume_schedule(self, workflow: type[Workflow[Any]] | str, trigger: str) -> Schedule:
        """Fire a paused cron trigger again. The windows that passed meanwhile are skipped.

        Resuming twice changes nothing. Raises `InvalidTrigger`.
        """
        name = Name(_name_of(workflow), trigger)
        await self._process.scheduler.resume(name)
        return await self._schedule(name)

    # what the calls stand on

    async def _schedule(self, name: Name) -> Schedule:
        async with self._pool.connection() as connection:
            of_workflow = await self._reader.schedules(connection, name.workflow)
        return next(one for one in of_workflow if one.trigger == name.trigger)

    async def _register(self) -> None:
        async with self._pool.connection() as connection:
            for definition in self._catalog.definitions.values():
                await connection.execute(
                    self._statements["register_definition"],
                    {
                        "version": definition.version,
                        "workflow": definition.spec.name,
                        "spec": definition.document.decode(),
                    },
                )

    async def _load_definition(self, version: str) -> bytes:
        async with self._pool.connection() as connection:
            cursor = cursor_on(connection, tuple_row)
            await cursor.execute(self._statements["load_definition"], {"version": version})
            row = await cursor.fetchone()
        assert row is not None, "a run's definition is kept as long as the run"
        return str(row[0]).encode()

    async def _read(
        self, connection: AsyncConnection[Any], run_id: UUID, *, created: bool = True
    ) -> Run:
        row = await self._reader.row(connection, run_id)
        plan = await self._catalog.plan(row["definition"])
        return reading.run(row, reading.secrets(plan.graph.spec), created=created)


def _dsn_of(pool: Pool) -> str:
    conninfo = getattr(pool, "conninfo", None)
    if isinstance(conninfo, str):
        return conninfo
    raise InvalidConfig(["this pool doesn't tell its conninfo: pass direct_dsn=…"])


def _run_id(value: UUID | str) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise InvalidRunId(value) from None


def _workflow_name(workflow: type[Workflow[Any]] | str | None) -> str | None:
    return None if workflow is None else _name_of(workflow)


def _name_of(workflow: type[Workflow[Any]] | str) -> str:
    return workflow if isinstance(workflow, str) else workflow.__definition__.spec.name


def _codecs(plan: Plan) -> dict[str, Codec]:
    """How each step's output is read: as what its function returns, when it is loaded."""
    return {
        name: Codec(Decision)
        if step.spec.kind is StepKind.APPROVAL
        else step.action.output
        if step.action
        else Codec(Any)
        for name, step in plan.steps.items()
    }
