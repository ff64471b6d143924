"""A process that drives the runs of every shape until SIGTERM: what the villain is after.

It says which boot it is once it is up. It ends with its parent: nobody is left behind.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import sys
import threading
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg

from squid_mesh import Mesh
from tests.chaos.ledger import Ledger
from tests.chaos.shapes import OTHER, WORKFLOWS
from tests.meshes import QUEUE

LOG = "%(asctime)s %(process)d %(name)s %(message)s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a worker beats and ends, in seconds, and how many bodies it runs at once."""

    heartbeat: float = 0.5
    lease: float = 2.0
    grace: float = 2.0
    overdue: float = 1.0
    bodies: int = 20
    others: int = 4

    @property
    def capacity(self) -> int:
        """The bodies of all its queues."""
        return self.bodies + self.others

    def mesh(self, dsn: str, ledger: Ledger, queues: dict[str, int]) -> Mesh:
        """A mesh of this pace."""
        return Mesh.connect(
            dsn,
            workflows=WORKFLOWS,
            queues=queues,
            resources=[ledger],
            heartbeat=timedelta(seconds=self.heartbeat),
            lease=timedelta(seconds=self.lease),
            grace=timedelta(seconds=self.grace),
            overdue=timedelta(seconds=self.overdue),
        )


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is told."""

    user: str
    dsn: str
    ledger_dsn: str
    pace: Pace
    log: Path


def play(job: Job, says: Connection) -> None:
    """Be a worker, from here to the end of the process."""
    logging.basicConfig(filename=job.log, level=logging.WARNING, format=LOG, force=True)
    try:
        asyncio.run(_work(job, says))
    except (psycopg.Error, TimeoutError):  # a supervisor starts another one
        logging.getLogger(__name__).warning("%s can't start: %r", job.user, sys.exception())
        sys.exit(1)


async def _work(job: Job, says: Connection) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    _end_with_parent(loop, stopping)
    queues = {QUEUE: job.pace.bodies, OTHER: job.pace.others}
    async with (
        Ledger(job.ledger_dsn) as ledger,
        job.pace.mesh(job.dsn, ledger, queues) as mesh,
    ):
        says.send(mesh._process.ledger.boot)
        await stopping.wait()


def _end_with_parent(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    """Ask to stop when the process that started this one is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        loop.call_soon_threadsafe(stopping.set)

    threading.Thread(target=watch, daemon=True).start()
