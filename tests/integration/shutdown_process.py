"""A process of its own that drives runs until SIGTERM, for tests of how it ends.

Run `start` with a DSN and its grace in seconds. It opens its mesh when it has read a line, and
tells on its standard output that it is up, and when it begins to stop and has closed its mesh.
"""

import asyncio
import signal
import sys
import threading
import time
import types
from datetime import timedelta
from functools import reduce
from operator import rshift
from typing import Any

from squid_mesh import Mesh, NoPayload, StepContext, Workflow, complete, context, resource, step
from tests.integration.worker_process import Console
from tests.meshes import QUEUE, Workflows

HEARTBEAT = timedelta(seconds=0.2)
LEASE = timedelta(minutes=10)
"""What nobody must have waited for."""

FOREVER = 3600.0
STEPS = 40
"""Steps of a run that keeps a process busy."""


async def short(_at: StepContext) -> None:
    await asyncio.sleep(0.02)


def stuck_in_thread(at: StepContext) -> str:
    """Never end, the first time."""
    if at.attempt == 1:
        threading.Event().wait()
    return "at last"


async def deaf_once(at: StepContext) -> str:
    """Never end, the first time, and go on after the first cancellation."""
    if at.attempt == 1:
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            await asyncio.sleep(FOREVER)
    return "at last"


async def deaf(at: StepContext) -> str:
    """Never end, the first time, whatever happens."""
    while at.attempt == 1:
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            continue
    return "at last"


async def held(at: StepContext, console: Console) -> str:
    """End when told to."""
    console.say("begun", at.run_id, at.attempt)
    return await console.hear()


def _many_short_steps(body: dict[str, Any]) -> None:
    steps: list[Any] = [step(short).takes(context) for _ in range(STEPS)]
    body.update({name_of(number): one for number, one in enumerate(steps)})
    body["flow"] = reduce(rshift, [*steps, complete])


def name_of(number: int) -> str:
    return f"step_{number:02}"


Busy: type[Workflow[NoPayload]] = types.new_class(
    "Busy", (Workflow[NoPayload],), exec_body=_many_short_steps
)


class Stuck(Workflow[NoPayload]):
    work = step(stuck_in_thread).takes(context)
    last = step(short).takes(context)
    flow = work >> last >> complete


class DeafOnce(Workflow[NoPayload]):
    work = step(deaf_once).takes(context)
    last = step(short).takes(context)
    flow = work >> last >> complete


class Deaf(Workflow[NoPayload]):
    work = step(deaf).takes(context)
    last = step(short).takes(context)
    flow = work >> last >> complete


class Held(Workflow[NoPayload]):
    work = step(held).takes(context, resource(Console))
    last = step(short).takes(context)
    flow = work >> last >> complete


WORKFLOWS: Workflows = [Busy, Stuck, DeafOnce, Deaf, Held]


async def main(dsn: str, grace: timedelta, lease: timedelta) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    console = Console()
    mesh = Mesh.connect(
        dsn,
        workflows=WORKFLOWS,
        queues={QUEUE: 20},
        heartbeat=HEARTBEAT,
        lease=lease,
        grace=grace,
        resources=[console],
    )
    console.say("ready")
    await console.hear()
    async with mesh:
        console.say("up", mesh._process.ledger.boot)
        await stopping.wait()
        console.say("stopping", time.time())
    console.say("down", time.time())


def start() -> None:
    """Drive runs until told to end."""
    grace, lease = (timedelta(seconds=float(argument)) for argument in sys.argv[2:4])
    asyncio.run(main(sys.argv[1], grace, lease))
