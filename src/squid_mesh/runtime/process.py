"""Everything of a mesh that runs in this process, from its boot to its end."""

from __future__ import annotations

import os
import socket
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from squid_mesh.runtime.alarm import Alarm
from squid_mesh.runtime.bodies import Bodies
from squid_mesh.runtime.catalog import Catalog
from squid_mesh.runtime.drive import Driver
from squid_mesh.runtime.heartbeat import Heartbeat
from squid_mesh.runtime.ledger import Ledger, SideConnection
from squid_mesh.runtime.loops import Loop
from squid_mesh.runtime.openings import Openings
from squid_mesh.runtime.payloads import Payloads
from squid_mesh.runtime.perform import Performer
from squid_mesh.runtime.recovery import Recovery
from squid_mesh.runtime.scheduling import Scheduler
from squid_mesh.runtime.settings import Settings
from squid_mesh.runtime.surroundings import Resources
from squid_mesh.runtime.threads import Threads
from squid_mesh.runtime.transactions import Transactions
from squid_mesh.runtime.waiting import Waiters
from squid_mesh.store.connections import connect, connect_committer, connect_starter
from squid_mesh.store.schedules import Timetable
from squid_mesh.store.statements import Statements
from squid_mesh.store.writes import Writer
from squid_mesh.telemetry import Telemetry


class Process:
    """One boot: its claims, its lease, its drivers."""

    def __init__(
        self,
        settings: Settings,
        statements: Statements,
        catalog: Catalog,
        resources: Resources,
        telemetry: Telemetry,
        pool: AsyncConnectionPool[Any],
    ) -> None:
        self._settings = settings
        self._statements = statements
        self._catalog = catalog
        self._telemetry = telemetry
        self._threads = Threads()
        self._resources = resources
        self._openings = Openings(pool, resources, self._threads)
        self._side = SideConnection(lambda: connect(settings.dsn))
        self.waiters = Waiters(statements, self._side.run, lambda: connect(settings.dsn))

    async def start(self) -> None:
        """Register this boot, and begin to claim, beat and recover."""
        settings = self._settings
        self._boot: int = await self._side.run(self._begin_boot)
        writer = Writer(self._statements, settings.queueing, self._boot)
        self.ledger = Ledger(
            writer,
            starter=lambda: connect_starter(settings.dsn),
            committer=lambda: connect_committer(settings.dsn),
            slow=lambda: connect(settings.dsn),
            side=self._side,
            silence=settings.lease,
        )
        self._alarm = Alarm(self.ledger.stage)
        transactions = Transactions(self._openings, self.ledger, writer)
        self.driver = Driver(
            self._catalog,
            Performer(Bodies(self._resources, self._threads, transactions)),
            self.ledger,
            queue=settings.queueing.queue,
            ended=self.waiters.tell,
            telemetry=self._telemetry,
            alarm=self._alarm,
        )
        self.scheduler = Scheduler(
            self._catalog,
            Timetable(self._statements, settings.queueing, settings.lease),
            self._side,
            Payloads(self._threads),
            intake=self.driver.intake,
            telemetry=self._telemetry,
        )
        recovery = Recovery(
            self._catalog,
            self.ledger,
            self.driver.driving,
            blocked=settings.blocked,
            requeue_schedules=self.scheduler.requeue,
            ended=self.waiters.tell,
            telemetry=self._telemetry,
        )
        self._recovery = Loop("recovery", recovery.sweep, settings.heartbeat)
        self._heartbeat = Heartbeat(
            settings.dsn,
            self._statements,
            self._facts | {"boot": self._boot},
            settings.heartbeat,
        )
        await self.ledger.start()
        self._heartbeat.start()
        self._alarm.start()
        self._recovery.start()
        self.waiters.start()

    async def drain(self) -> None:
        """Begin nothing more, and let what is under way come to its next boundary."""
        await self.driver.drain(self._settings.grace)

    async def stop(self) -> None:
        """End; what is still claimed is another process's to recover, at once."""
        await self.waiters.stop()
        await self._recovery.stop()
        await self._alarm.stop()
        await self.ledger.stop()
        await self._heartbeat.stop()
        await self._side.run(self._end_boot)
        await self._side.close()
        self._openings.close()
        self._threads.close()

    @property
    def _facts(self) -> dict[str, Any]:
        """What others see of this process."""
        return {
            "mesh": self._settings.name,
            "node": socket.gethostname(),
            "pid": os.getpid(),
            "queues": [self._settings.queueing.queue],
            "definitions": self._catalog.versions,
            "actions": self._catalog.action_names,
        }

    async def _begin_boot(self, connection: AsyncConnection[Any]) -> int:
        cursor = await connection.execute(self._statements["begin_boot"], self._facts)
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def _end_boot(self, connection: AsyncConnection[Any]) -> None:
        await connection.execute(self._statements["end_boot"], {"boot": self._boot})
