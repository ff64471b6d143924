"""A process of its own that drives the laws' workflows, and does what its test writes to it.

Run as `python -m tests.laws.worker DSN JOURNAL_DSN OPTIONS`, the options in JSON. Each line of the
standard input is a request; each has one line of an answer.
"""

import asyncio
import importlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from squid_mesh import Mesh, SquidMeshError
from squid_mesh.runtime import jobs
from squid_mesh.runtime.drive import Driver
from squid_mesh.runtime.jobs import Slice
from squid_mesh.store.records import Claimed
from tests.laws.journal import Journal
from tests.meshes import BOUND, QUEUE, on_host

HEARTBEAT = timedelta(seconds=0.2)
LEASE = timedelta(seconds=1)
OVERDUE = timedelta(seconds=0.5)
"""How long a step of a law's test may be due before its job is looked for."""


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201  # how the process talks to its test


async def answer(mesh: Mesh, request: list[str]) -> str:
    """Do what one line asks for."""
    match request:
        case ["start", workflow]:
            run = await mesh.start_run(next(w for w in loaded if w.__name__ == workflow))
            return str(run.id)
        case ["cancel", run_id]:
            return str((await mesh.cancel_run(UUID(run_id))).status)
        case ["unblock", run_id]:
            return str((await mesh.unblock_run(UUID(run_id), key="once")).status)
        case _:
            return "what?"


def stand_still_before(step: str) -> None:
    """Stop this process, with all its threads, between the durable claim of a step and its body."""
    begin = Driver._step

    async def stop_and_begin(self: Driver, claimed: Claimed, slice_: Slice) -> bool:
        if claimed.step == step and claimed.attempt == 1 and not stood_still:
            stood_still.append(step)
            os.kill(os.getpid(), signal.SIGSTOP)
        return await begin(self, claimed, slice_)

    Driver._step = stop_and_begin  # type: ignore[method-assign]  # a place that no body can reach


stood_still: list[str] = []


@asynccontextmanager
async def no_makers(_: str) -> AsyncGenerator[list[object]]:
    """What most workflows need beside the journal."""
    yield []


async def main(dsn: str, journal_dsn: str, options: dict[str, Any]) -> None:
    if "stands_still_before" in options:
        stand_still_before(options["stands_still_before"])
    if options.get("keeps_places", False):
        jobs.TAKING_SECONDS, jobs.WAITED_SECONDS = BOUND.total_seconds(), -1.0
    module.hangs = options.get("hangs", False)
    async with (
        Journal(journal_dsn) as journal,
        getattr(module, "makers", no_makers)(dsn) as makers,
        on_host(
            dsn,
            loaded,
            queues=options.get("queues", {QUEUE: 10, "other": 2}),
            actions=[getattr(module, name) for name in options.get("actions", [])],
            heartbeat=timedelta(seconds=options.get("heartbeat", HEARTBEAT.total_seconds())),
            lease=timedelta(seconds=options.get("lease", LEASE.total_seconds())),
            blocked=timedelta(seconds=options.get("blocked", 60)),
            overdue=OVERDUE,
            handover=timedelta(seconds=options.get("handover", 5)),
            resources=[journal, *makers],
        ) as mesh,
    ):
        say("up")
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                say(await answer(mesh, line.split()))
            except SquidMeshError as error:
                say(type(error).__name__)
    say("down")


if __name__ == "__main__":
    settings: dict[str, Any] = json.loads(sys.argv[3])
    module: Any = importlib.import_module(settings.get("module", "tests.laws.workflows"))
    loaded: Any = module.WORKFLOWS
    asyncio.run(main(sys.argv[1], sys.argv[2], settings))
