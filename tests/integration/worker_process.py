"""A process of its own that drives runs, for tests that kill, stop and end it.

Run `start` with a DSN as the argument. It tells on its standard output which bodies have begun; a
body goes on when it has read a line of the standard input.
"""

import asyncio
import signal
import sys
from datetime import timedelta

from squid_mesh import (
    Mesh,
    NoPayload,
    Retry,
    StepContext,
    Workflow,
    complete,
    context,
    resource,
    step,
)
from tests.meshes import QUEUE, Workflows

HEARTBEAT = timedelta(seconds=0.2)
LEASE = timedelta(seconds=1)


class Console:
    """Where bodies tell that they have begun, and are told to go on: a process's own pipes."""

    def say(self, *words: object) -> None:
        print(*words, flush=True)  # noqa: T201  # how the process talks to its test

    async def hear(self) -> str:
        line: str = await asyncio.to_thread(sys.stdin.readline)
        return line.strip()


async def before() -> str:
    return "before"


async def held(at: StepContext, console: Console) -> str:
    console.say("begun", at.run_id, at.attempt)
    heard = await console.hear()
    console.say("going on", at.run_id, at.attempt)
    return f"attempt {at.attempt}, {heard}"


async def after() -> str:
    return "after"


class Again(Workflow[NoPayload]):
    first = step(before).takes()
    work = step(held).takes(context, resource(Console))
    last = step(after).takes()
    flow = first >> work >> last >> complete


class AtMostOnce(Workflow[NoPayload]):
    work = step(held, on_interrupt="fail", retry=Retry(5)).takes(context, resource(Console))
    last = step(after).takes()
    flow = work >> last >> complete


WORKFLOWS: Workflows = [Again, AtMostOnce]


async def main(dsn: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    console = Console()
    mesh = Mesh.connect(
        dsn,
        workflows=WORKFLOWS,
        queues={QUEUE: 5},
        heartbeat=HEARTBEAT,
        lease=LEASE,
        grace=timedelta(seconds=0.2),
        resources=[console],
    )
    async with mesh:
        console.say("up")
        await stopping.wait()
    console.say("down")


def start() -> None:
    """Drive runs until told to end."""
    asyncio.run(main(sys.argv[1]))
