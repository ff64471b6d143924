"""The composition root: one mesh of workflows in one process, and the calls that a host makes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any, Self, TypedDict, Unpack, cast

from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from squid_mesh.definition.workflow import Workflow
from squid_mesh.dispatch import oban as dispatch
from squid_mesh.dispatch.fetching import Fetching
from squid_mesh.dispatch.oban import Oban
from squid_mesh.errors import InvalidConfig, shown
from squid_mesh.inspection.reader import Reader
from squid_mesh.mesh.core import Pool
from squid_mesh.mesh.decisions import Decisions
from squid_mesh.mesh.keeping import Keeping
from squid_mesh.mesh.looks import Looks
from squid_mesh.mesh.schedules import Schedules
from squid_mesh.mesh.starts import Starts
from squid_mesh.runtime.catalog import Catalog
from squid_mesh.runtime.deciding import Decider
from squid_mesh.runtime.process import Process
from squid_mesh.runtime.settings import Gathered, Settings, listed, serve_some
from squid_mesh.runtime.starter import Starter
from squid_mesh.runtime.surroundings import Resources
from squid_mesh.store import migrations
from squid_mesh.store.connections import check, is_pooled
from squid_mesh.store.hosts import cursor_on
from squid_mesh.store.statements import Statements
from squid_mesh.store.writes import Queueing
from squid_mesh.telemetry import Observer, Telemetry

logger = logging.getLogger(__name__)

OBAN_CONNECTIONS = 4
"""How many connections an Oban of the mesh's own gets when the pool goes through a pooler."""

_POOLED = (
    "the pool's connections go through a pooler (PgBouncer or the like), and the engine's own need "
    "sessions: pass direct_dsn=…, which leads to Postgres, or through a pooler in session mode"
)


class Options(TypedDict, total=False):
    """The options of `Mesh` that `Mesh.connect` passes on."""

    schema: str
    queue: str
    resources: Iterable[object]
    actions: Iterable[Callable[..., Any]]
    observers: Iterable[Observer]
    direct_dsn: str | None
    retention: timedelta | None
    heartbeat: timedelta
    lease: timedelta
    blocked: timedelta
    grace: timedelta
    overdue: timedelta
    handover: timedelta
    max_interruptions: int


class Mesh(Starts, Decisions, Looks, Schedules, Keeping):
    """Workflows of one process, on the host's own Postgres pool and Oban.

    `async with oban, mesh:` in this order. The mesh keeps a few connections of its own beside the
    pool, which is for steps and readers; `direct_dsn` says where to, when the pool goes through
    a pooler that has no sessions.

    * `workflows`: the classes whose runs this process starts and drives.
    * `name`: what jobs are registered under; two meshes on one Oban need two names.
    * `schema`: where the tables are; `queue`: the Oban queue of steps that name none.
    * `resources`: objects that steps wire with `resource(T)`; a SQLAlchemy `async_sessionmaker` or
      `sessionmaker` makes what they wire with `session(…)`; `resource(Mesh)` is the mesh itself.
    * `actions`: functions that only runs of earlier definitions still call.
    * `observers`: called with each event of `squid_mesh.telemetry`, after its commit.
    * `retention`: how long ended runs are kept; for good, unless it is given. See `prune`.
    * `heartbeat`, `lease`: how often this process says that it lives, and after how long a silence
      others take over its steps; `blocked`: after how long its event loop not answering. Give all
      processes of a schema the same.
    * `grace`: how long `async with` waits for steps under way when it ends.
    * `overdue`: after how long a step or a cron window that is due gets a new job, when the one it
      had is gone.
    * `handover`: how soon, at the latest, a step that this process has no code for is offered
      again to one that has.
    * `max_interruptions`: how often a step's process may die in the middle of it, before the step
      fails: it is likely what kills them.

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
        retention: timedelta | None = None,
        heartbeat: timedelta = timedelta(seconds=2),
        lease: timedelta = timedelta(seconds=10),
        blocked: timedelta = timedelta(seconds=60),
        grace: timedelta = timedelta(seconds=15),
        overdue: timedelta = timedelta(seconds=5),
        handover: timedelta = timedelta(seconds=5),
        max_interruptions: int = 10,
    ) -> None:
        self._pool = pool
        self._oban = oban
        self._own_pools: set[Pool] = set()
        self._installs = False
        self._running: Process | None = None
        self._open = AsyncExitStack()
        self._is_said_direct = direct_dsn is not None
        self._key = dispatch.key_of(name, schema)
        config = Gathered()
        with config.part():
            _check_surroundings(pool, oban, direct_dsn)
        with config.part():
            self._telemetry = Telemetry(_callable(listed("observers", observers)))
        with config.part():
            self._statements = Statements(schema, dispatch.prefix_of(oban))
        with config.part():
            self._catalog = Catalog(workflows, actions, self._load_definition)
        with config.part():
            self._resources = Resources((*listed("resources", resources), self))
        with config.part():
            self._settings = Settings.of(
                name=name,
                dsn=_dsn_of(pool) if direct_dsn is None else direct_dsn,
                queueing=Queueing(queue, dispatch.worker_of(self._key)),
                retention=retention,
                heartbeat=heartbeat,
                lease=lease,
                blocked=blocked,
                grace=grace,
                overdue=overdue,
                handover=handover,
                max_interruptions=max_interruptions,
            )
        config.tell()
        dispatch.register(self._key)
        self._reader = Reader(self._statements)
        self._decider = Decider(self._statements, self._settings.queueing)
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
        and of Squid Mesh are created where they are missing. With `direct_dsn` only the pool goes
        through `dsn`: Oban and the engine, which need sessions, go around it. The rest as for
        `Mesh`. A process that only starts runs serves none: `queues={}`.
        """
        config = Gathered()
        with config.part():
            _check_connection(dsn, queues, max_connections)
        direct = options.get("direct_dsn")
        if not config.is_sound:  # what stands for it is only to find what else is wrong
            dsn, queues, max_connections = "", {}, 1
        pool = oban_pool = _own_pool(dsn, max_connections, is_direct=direct is None)
        if isinstance(direct, str):
            oban_pool = _own_pool(direct, OBAN_CONNECTIONS)
        key = dispatch.key_of(name, options.get("schema", "squid_mesh"))
        oban = dispatch.own_oban(oban_pool, key, dict(queues))
        with config.part():
            mesh = cls(pool, oban=oban, workflows=workflows, name=name, **options)
        config.tell()
        serve_some(queues, mesh._catalog.queues(mesh._settings.queueing.queue))
        mesh._own_pools = {pool, oban_pool}
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
            for pool in self._own_pools:
                await opening.enter_async_context(pool)
            await self._check_way()
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
                partial(dispatch.is_full, self._oban),
            )
            await process.start()
            opening.push_async_callback(process.stop)
            await process.scheduler.register()
            dispatch.attach(self._key, process.driver.drive, process.scheduler.fire)
            opening.callback(dispatch.detach, self._key)
            if self._own_pools:
                await self._oban.start()
                opening.push_async_callback(dispatch.stop, self._oban)
            opening.push_async_callback(process.drain)
            fetching = Fetching(self._oban, self._catalog.queues(self._settings.queueing.queue))
            await fetching.begin()
            opening.push_async_callback(fetching.end)
            opening.callback(process.close)
            self._open = opening.pop_all()
            self._running = process

    async def stop(self) -> None:
        """Begin nothing more, let steps under way end, and let go of everything."""
        self._running = None
        await self._open.aclose()

    # parts

    async def _check_way(self) -> None:
        """Raise `InvalidConfig` when the engine's sessions would go through a pooler unasked."""
        if not await is_pooled(self._settings.dsn):
            return
        if not self._is_said_direct:
            raise InvalidConfig([_POOLED])
        logger.warning("direct_dsn leads through a pooler: it has to be in session mode")

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


def _own_pool(dsn: str, size: int, *, is_direct: bool = True) -> Pool:
    """A pool that uses a server within seconds after it is up, however long it was away."""
    return AsyncConnectionPool(
        dsn,
        open=False,
        min_size=1,
        max_size=size,
        kwargs={} if is_direct else {"prepare_threshold": None},
        check=check,
        reconnect_timeout=5.0,
    )


def _dsn_of(pool: object) -> str:
    """Where a pool connects to. Of what is no pool at all is told elsewhere."""
    if not isinstance(pool, AsyncConnectionPool):
        return ""
    told: object = getattr(cast("object", pool), "conninfo", None)
    if isinstance(told, str):
        return told
    raise InvalidConfig(["this pool doesn't tell its conninfo: pass direct_dsn=…"])


def _check_surroundings(pool: object, oban: object, direct_dsn: object) -> None:
    """Raise `InvalidConfig` for what is no pool, no Oban, or no DSN."""
    problems: list[str] = []
    if not isinstance(pool, AsyncConnectionPool):
        problems.append(f"pool={shown(pool)}: pass a psycopg_pool.AsyncConnectionPool")
    if not isinstance(oban, Oban):
        problems.append(f"oban={shown(oban)}: pass an oban.Oban")
    if direct_dsn is not None and not (isinstance(direct_dsn, str) and direct_dsn.strip()):
        problems.append(f"direct_dsn={shown(direct_dsn)}: write postgresql://…, or leave it out")
    if problems:
        raise InvalidConfig(problems)


def _check_connection(dsn: object, queues: object, max_connections: object) -> None:
    """Raise `InvalidConfig` for what no pool and no Oban can be made of."""
    problems: list[str] = []
    if not isinstance(dsn, str) or not dsn.strip():
        problems.append(f"dsn={shown(dsn)}: write postgresql://…")
    if not isinstance(max_connections, int) or max_connections < 1:
        problems.append(f"max_connections={shown(max_connections)}: write a positive number")
    if not isinstance(queues, Mapping):
        problems.append(f"queues={shown(queues)}: write {{'squid_mesh': 10}}")
    else:
        problems += [
            f"queues has {shown(queue)}: {shown(limit)}, write a name and a positive number"
            for queue, limit in cast("Mapping[object, object]", queues).items()
            if not (isinstance(queue, str) and queue.strip())
            or not (isinstance(limit, int) and limit >= 1)
        ]
    if problems:
        raise InvalidConfig(problems)


def _callable(observers: list[Observer]) -> list[Observer]:
    """Observers. Raises `InvalidConfig` for what can't be called."""
    if strange := [o for o in cast("list[object]", observers) if not callable(o)]:
        raise InvalidConfig([f"observers holds {shown(s)}: pass functions" for s in strange])
    return observers
