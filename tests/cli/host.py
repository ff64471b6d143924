"""An application whose meshes the program is asked about: `tests.cli.host:…`, in processes."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from squid_mesh import Mesh, NoPayload, StepContext, Workflow, context, resource, step
from tests.integration.worker_process import Console

DSN = os.environ.get("HOST_DSN", "postgresql://localhost:1/nowhere")
QUEUES = {"squid_mesh": 5, "second": 5}

type Pool = AsyncConnectionPool[AsyncConnection[Any]]


async def tell_loop() -> str:
    """Which event loop this is, and which process."""
    return f"{type(asyncio.get_running_loop()).__module__} {os.getpid()}"


async def held(at: StepContext, console: Console) -> str:
    """End when told to."""
    console.say("begun", at.run_id)
    return await console.hear()


async def endless(console: Console) -> None:
    """Never end by itself."""
    console.say("begun")
    await asyncio.Event().wait()


async def leave_a_thread(console: Console) -> None:
    """Complete, and leave a thread that asyncio waits for and that never ends."""
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    console.say("begun")


async def block(console: Console) -> None:
    """Stop the event loop for longer than any test takes."""
    console.say("begun")
    time.sleep(3600)  # noqa: ASYNC251  # that is the point


class Tell(Workflow[NoPayload]):
    work = step(tell_loop).takes()


class Second(Workflow[NoPayload]):
    work = step(tell_loop, queue="second").takes()


class Held(Workflow[NoPayload]):
    work = step(held).takes(context, resource(Console))


class Endless(Workflow[NoPayload]):
    work = step(endless).takes(resource(Console))


class Leaving(Workflow[NoPayload]):
    work = step(leave_a_thread).takes(resource(Console))


class Blocking(Workflow[NoPayload]):
    work = step(block).takes(resource(Console))


WORKFLOWS: list[type[Workflow[Any]]] = [Tell, Second, Held, Endless, Leaving, Blocking]
OPTIONS: dict[str, Any] = {
    "workflows": WORKFLOWS,
    "resources": [Console()],
    "heartbeat": timedelta(seconds=0.2),
    "lease": timedelta(seconds=1),
    "grace": timedelta(seconds=0.2),
}
PATIENT: dict[str, Any] = OPTIONS | {"grace": timedelta(minutes=1)}

# the forms that a target may have


def _pool() -> Pool:
    return AsyncConnectionPool(DSN, open=False, min_size=1)


def _on(pool: Pool, queues: dict[str, Any] | None = None) -> Mesh:
    return Mesh(pool, oban=Oban(pool=pool, name="host", queues=queues or {**QUEUES}), **OPTIONS)


connected = Mesh.connect(DSN, queues=QUEUES, **OPTIONS)
patient = Mesh.connect(DSN, queues=QUEUES, **PATIENT)
soon_blocked = Mesh.connect(DSN, queues=QUEUES, **OPTIONS, blocked=timedelta(seconds=1))
idle = Mesh.connect(DSN, queues={}, **OPTIONS)
elsewhere = Mesh.connect(DSN, queues=QUEUES, schema="flows", **OPTIONS)
on_own_pool = _on(_pool())


def made() -> Mesh:
    return _on(_pool())


async def made_later() -> Mesh:
    return _on(_pool())


@contextmanager
def around() -> Generator[Mesh]:
    yield made()
    sys.stderr.write("closed around\n")


@asynccontextmanager
async def with_open_pool() -> AsyncGenerator[Mesh]:
    async with _pool() as pool:
        yield _on(pool)
    sys.stderr.write("closed around\n")


@asynccontextmanager
async def all_open() -> AsyncGenerator[Mesh]:
    async with _pool() as pool:
        oban = Oban(pool=pool, name="host", queues={**QUEUES})
        async with oban, Mesh(pool, oban=oban, **OPTIONS) as mesh:
            yield mesh
    sys.stderr.write("closed around\n")


class Nested:
    inner = connected


# what no target may be

number = 7


def nothing() -> None:
    return None


def demanding(dsn: str) -> Mesh:
    raise AssertionError(dsn)


def failing() -> Mesh:
    raise RuntimeError("the vault is sealed\nand a second line")


async def undecorated() -> AsyncGenerator[Mesh]:
    yield connected
