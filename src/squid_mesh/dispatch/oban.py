"""Oban's side: the worker that Oban calls for our jobs. The only module that imports oban.

Oban resolves a worker by its name, without arguments, so each mesh registers a class of its own
under its own name; that registry is the one global of this package.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from math import ceil
from typing import Any

import psycopg
from oban import Oban, Snooze
from oban.schema import install_sql, uninstall_sql
from oban.worker import register_worker  # pyright: ignore[reportUnknownVariableType]  # untyped
from psycopg import AsyncConnection
from psycopg.rows import scalar_row

from squid_mesh.errors import InvalidConfig, NotInstalled
from squid_mesh.runtime.intake import PutBack
from squid_mesh.runtime.jobs import Job
from squid_mesh.runtime.scheduling import Tick
from squid_mesh.store.hosts import cursor_on

logger = logging.getLogger(__name__)

STOPPING_SECONDS = 3.0
"""How long an Oban of the mesh's own may take to stop. By then nothing of ours is under way."""

DEBOUNCE_SECONDS = 0.001
"""How long an Oban of the mesh's own waits between fetches, at least. By default it is 0.005."""

type Drive = Callable[[Job], Awaitable[PutBack | None]]
"""Does one job of a run."""

type Fire = Callable[[Tick], Awaitable[PutBack | None]]
"""Does one job of a cron window."""

_INSTALLATION = 0x4F42414E  # "OBAN": one installation at a time in a database

_meshes: dict[str, tuple[Drive, Fire]] = {}


def key_of(name: str, schema: str) -> str:
    """What tells a mesh from others on the same Oban: its name, and its schema if it isn't ours.

    Two schemas have nothing in common, so a job of one must not be taken for the other's.
    """
    return name if schema == "squid_mesh" else f"{name}@{schema}"


def worker_of(mesh: str) -> str:
    """The worker name in the jobs of a mesh."""
    return f"squid_mesh.{mesh}"


def register(mesh: str) -> None:
    """Make jobs of this mesh known to Oban, which may be started, and fetch some, before the mesh.

    Until `attach` they are put back; a job of an unknown worker would wait for Oban's long backoff.
    """
    register_worker(_worker(mesh))


def attach(mesh: str, drive: Drive, fire: Fire) -> None:
    """Let Oban's jobs for this mesh reach it. Raises `InvalidConfig` for a taken name."""
    if mesh in _meshes:
        raise InvalidConfig([f"a mesh named {mesh!r} runs in this process: give this one name=…"])
    _meshes[mesh] = drive, fire


def detach(mesh: str) -> None:
    """Jobs that still come are put back, for another process or the next start."""
    _meshes.pop(mesh, None)


def _worker(mesh: str) -> type:
    async def process(_self: object, job: Any) -> Snooze | None:
        if mesh not in _meshes:
            return Snooze(1)
        drive, fire = _meshes[mesh]
        put_back = await (fire(_tick(job)) if "cron" in job.args else drive(_job(job)))
        return None if put_back is None else Snooze(ceil(max(put_back.seconds, 1.0)))

    names = {"__module__": "squid_mesh", "__qualname__": mesh}
    return type(mesh, (), names | {"process": process})


def _job(job: Any) -> Job:
    is_timed = job.attempted_at and job.scheduled_at
    waited = (job.attempted_at - job.scheduled_at).total_seconds() if is_timed else 0.0
    return Job.of(job.args, queue=job.queue, number=job.id, waited=waited)


def _tick(job: Any) -> Tick:
    cron = job.args["cron"]
    return Tick(
        workflow=cron["workflow"],
        trigger=cron["trigger"],
        window=datetime.fromisoformat(cron["window"]),
        job=job.id,
    )


def install_script(prefix: str) -> str:
    """SQL that creates Oban's tables where they are missing.

    Oban looks for its types in the current schema, wherever its tables are to be; it is told here.
    """
    schema = "" if prefix == "public" else f'create schema if not exists "{prefix}";\n\n'
    return schema + install_sql(prefix).replace("current_schema()", f"'{prefix}'")


def uninstall_script(prefix: str) -> str:
    """SQL that drops Oban's tables, jobs and all."""
    return uninstall_sql(prefix)


async def install(connection: AsyncConnection[Any], prefix: str) -> None:
    """Create Oban's tables where they are missing, in the caller's transaction.

    Whoever installs ours too comes here first: two that did it in two orders would wait for each
    other.
    """
    await connection.execute("select pg_advisory_xact_lock(%s)", (_INSTALLATION,))
    await connection.execute(install_script(prefix).encode())


async def check(connection: AsyncConnection[Any], prefix: str) -> None:
    """Raise `NotInstalled` unless Oban's tables are there."""
    if not await is_installed(connection, prefix):
        raise NotInstalled(
            f"Oban's tables are not in schema {prefix!r}: run `squid-mesh migrate --oban`, or "
            "`oban install`, in your deployment, or pass install=True to Mesh.connect"
        )


async def is_installed(connection: AsyncConnection[Any], prefix: str) -> bool:
    """Whether Oban's tables are there."""
    cursor = cursor_on(connection, scalar_row)
    await cursor.execute("select to_regclass(%s)", (f'"{prefix}".oban_jobs',))
    return await cursor.fetchone() is not None


def prefix_of(oban: Oban) -> str:
    """The schema that an Oban keeps its tables in."""
    return str(getattr(oban, "_prefix", "public"))


def own_oban(pool: Any, name: str, queues: dict[str, int]) -> Oban:
    """An Oban of the mesh's own. Named, as a nameless one replaces the process's default.

    The mesh has drained when it stops, so what runs still has had its time. It hardly waits for
    other jobs to end before it fetches: where many end at once, their drivers take others along.
    """
    settings: dict[str, Any] = {
        queue: {"limit": limit, "debounce_interval": DEBOUNCE_SECONDS}
        for queue, limit in queues.items()
    }
    return Oban(pool=pool, name=f"squid_mesh.{name}", queues=settings, shutdown_grace_period=0.0)


def is_started(oban: Oban) -> bool:
    """Whether an Oban is at work in this process."""
    return getattr(oban, "_signal_token", None) is not None


def queues_of(oban: Oban) -> dict[str, int]:
    """The queues that an Oban serves here, once it is started, and how many jobs at once."""
    producers: Mapping[str, Any] = getattr(oban, "_producers", {})
    return {queue: getattr(producer, "_limit", 0) for queue, producer in producers.items()}


def is_full(oban: Oban, queue: str) -> bool:
    """Whether all places of a queue are taken here, and nothing but their number limits it.

    One that is paused, stops, or was made smaller, isn't: its places are to be left.
    """
    info = oban.check_queue(queue)
    if info is None or info.paused or info.meta or _is_stopping(oban, queue):
        return False
    return len(info.running) == info.limit


def _is_stopping(oban: Oban, queue: str) -> bool:
    producers: Mapping[str, Any] = getattr(oban, "_producers", {})
    stopping: asyncio.Event | None = getattr(producers.get(queue), "_stopping", None)
    return stopping is not None and stopping.is_set()


def keep_only(oban: Oban, queues: Mapping[str, int]) -> None:
    """Let an Oban that isn't started yet forget its queues, but for these with these limits.

    What else was said of a queue stands.
    """
    producers: dict[str, Any] = getattr(oban, "_producers", {})
    for queue in queues_of(oban):
        if queue in queues:
            producers[queue]._limit = queues[queue]  # noqa: SLF001 (it isn't started: no call scales it)
        else:
            del producers[queue]


async def serve(oban: Oban, queues: Mapping[str, int]) -> None:
    """Let a started Oban serve these queues too, in this process and no other."""
    node: str = getattr(oban, "_node", "")
    for queue in queues.keys() - queues_of(oban).keys():
        await oban.start_queue(queue=queue, limit=queues[queue], node=node)


async def stop(oban: Oban) -> None:
    """Stop an Oban of the mesh's own, also while the database is away.

    It would wait for connections of its pool, one after the other, only to say goodbye. Without
    that its jobs are found by whoever looks for what is overdue.
    """
    try:
        async with asyncio.timeout(STOPPING_SECONDS):
            await oban.stop()
    except (psycopg.Error, TimeoutError) as error:
        logger.warning("Oban has stopped without a word to the database: %r", error)


__all__ = [
    "Oban",
    "attach",
    "check",
    "detach",
    "install",
    "install_script",
    "is_installed",
    "is_started",
    "keep_only",
    "key_of",
    "own_oban",
    "prefix_of",
    "queues_of",
    "register",
    "serve",
    "stop",
    "uninstall_script",
    "worker_of",
]
