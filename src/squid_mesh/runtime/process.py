"""Everything of a mesh that runs in this process, from its boot to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from squid_mesh.runtime.alarm import Alarm
from squid_mesh.runtime.bodies import Bodies
from squid_mesh.runtime.catalog import Catalog
from squid_mesh.runtime.deciding import Decider
from squid_mesh.runtime.drive import Driver
from squid_mesh.runtime.heartbeat import Heartbeat
from squid_mesh.runtime.lease import Lease
from squid_mesh.runtime.ledger import Ledger, SideConnection
from squid_mesh.runtime.lookout import Lookout
from squid_mesh.runtime.loops import Loop
from squid_mesh.runtime.openings import Openings
from squid_mesh.runtime.payloads import Payloads
from squid_mesh.runtime.perform import Performer
from squid_mesh.runtime.pruning import Pruner
from squid_mesh.runtime.recovery import Recovery
from squid_mesh.runtime.scheduling import Scheduler
from squid_mesh.runtime.settings import Settings
from squid_mesh.runtime.surroundings import Resources
from squid_mesh.runtime.threads import Threads
from squid_mesh.runtime.transactions import Transactions
from squid_mesh.runtime.waiting import Waiters
from squid_mesh.store.committer import Lost
from squid_mesh.store.connections import connect, connect_committer, connect_starter
from squid_mesh.store.schedules import Timetable
from squid_mesh.store.statements import Statements
from squid_mesh.store.trouble import Trouble
from squid_mesh.store.writes import Writer
from squid_mesh.telemetry import Telemetry

logger = logging.getLogger(__name__)

PRUNE_SECONDS = 60.0
"""How often ended runs are looked for that are past their retention."""


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
        is_full: Callable[[str], bool],
    ) -> None:
        self._settings = settings
        self._statements = statements
        self._catalog = catalog
        self._telemetry = telemetry
        self._is_full = is_full
        self._threads = Threads()
        self._resources = resources
        self._openings = Openings(pool, resources, self._threads)
        self._side = SideConnection(lambda: connect(settings.dsn))
        self._trouble = Trouble()
        self.waiters = Waiters(
            statements, self._side.run, lambda: connect(settings.dsn), self._trouble
        )

    async def start(self) -> None:
        """Register this boot, and begin to claim, beat and recover."""
        settings = self._settings
        lease = Lease(settings.lease, settings.blocked, settings.heartbeat)
        self._boot: int = await self._side.run(self._begin_boot)
        writer = Writer(
            self._statements, settings.queueing, self._boot, heard=self._telemetry.is_heard
        )
        self.ledger = Ledger(
            writer,
            starter=lambda: connect_starter(settings.dsn),
            committer=lambda: connect_committer(settings.dsn),
            slow=lambda: connect(settings.dsn),
            side=self._side,
            silence=settings.lease,
            telemetry=self._telemetry,
            trouble=self._trouble,
        )
        self._alarm = Alarm(self.ledger.stage)
        transactions = Transactions(self._openings, self.ledger, writer)
        self.driver = Driver(
            self._catalog,
            Performer(Bodies(self._resources, self._threads, transactions), self._telemetry),
            self.ledger,
            settings=settings,
            lease=lease,
            ended=self.waiters.tell,
            telemetry=self._telemetry,
            alarm=self._alarm,
            decider=Decider(self._statements, settings.queueing),
            is_full=self._is_full,
        )
        self.lookout = Lookout(
            self._catalog, settings.queueing.queue, self.ledger.find_producers, self._trouble
        )
        self.scheduler = Scheduler(
            self._catalog,
            Timetable(self._statements, settings.queueing, settings.lease, self._boot),
            self._side,
            Payloads(self._threads),
            settings=settings,
            intake=self.driver.intake,
            started=self.lookout.started,
            telemetry=self._telemetry,
        )
        recovery = Recovery(
            self._catalog,
            self.ledger,
            self.driver.driving,
            settings=settings,
            lease=lease,
            requeue_schedules=self.scheduler.requeue,
            ended=self.waiters.tell,
            telemetry=self._telemetry,
        )
        self._recovery = Loop("recovery", recovery.sweep, settings.heartbeat, self._trouble)
        self._heartbeat = Heartbeat(
            settings.dsn,
            self._statements,
            self._facts | {"boot": self._boot},
            settings.heartbeat,
            lease,
            self._trouble,
        )
        self._pruning = self._pruning_loop()
        try:
            await self.ledger.start()
        except BaseException:
            await self._withdraw()
            raise
        self._heartbeat.start()
        self._alarm.start()
        self._recovery.start()
        self.waiters.start()
        if self._pruning is not None:
            self._pruning.start()
        self.lookout.start()

    async def _withdraw(self) -> None:
        """Leave nothing behind of a boot that can't begin."""
        await self.ledger.stop()
        await self._let_go()
        await self._side.close()

    def close(self) -> None:
        """Begin nothing more: jobs that still come are others'."""
        self.driver.intake.close()

    async def drain(self) -> None:
        """Let what is under way come to its next boundary."""
        await self.driver.intake.drain(self._settings.grace)

    async def stop(self) -> None:
        """End; what is still claimed is another process's to recover, at once."""
        if self._pruning is not None:
            await self._pruning.stop()
        await self.lookout.stop()
        await self.waiters.stop()
        await self._recovery.stop()
        await self._alarm.stop()
        await self.ledger.stop()
        await self._heartbeat.stop()
        await self._let_go()
        await self._side.close()
        await self._openings.close()
        self._threads.close()

    def _pruning_loop(self) -> Loop | None:
        """Deletes what has ended long ago, where that is wanted."""
        age = self._settings.retention
        if age is None:
            return None
        side = SideConnection(lambda: connect(self._settings.dsn, application="squid_mesh pruner"))
        pruner = Pruner(self._statements, self._settings.queueing.worker, side.run)

        async def prune() -> None:
            try:
                await pruner.prune(age)
            finally:
                await side.close()

        return Loop("pruning", prune, min(PRUNE_SECONDS, age), self._trouble)

    async def _let_go(self) -> None:
        """Say that this boot has ended; without a database its lease says so, later."""
        try:
            async with asyncio.timeout(self._settings.lease):
                try:
                    await self._side.run(self._end_boot)
                except Lost:  # the connection was cut, and nobody has used it since
                    await self._side.run(self._end_boot)
        except (Lost, psycopg.Error, TimeoutError) as error:
            logger.warning("what this process held is free when its lease is over: %r", error)

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
