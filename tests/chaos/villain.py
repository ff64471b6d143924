"""Carries out the plan, and writes down what befell whom: the ledger's table of faults."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import assert_never

import psycopg
from psycopg import AsyncConnection

from tests.chaos.crew import Crew, Worker
from tests.chaos.plan import Fault, Kind
from tests.chaos.server import Server
from tests.clock import every
from tests.laws.tampering import SHARE, TAMPERING

logger = logging.getLogger(__name__)

_UNDER_WAY = """
select count(*) from squid_mesh.steps
where status = 'running' and (%s::bigint is null or claim = %s)
"""
_CUT = """
select pg_terminate_backend(pid) from pg_stat_activity
where usename = %s and pid <> pg_backend_pid() and random() < %s
"""
_BACKEND = """
select pid from pg_stat_activity where usename like 'worker%%' order by random() limit 1
"""
_HOLD = """
select id from squid_mesh.runs where outcome is null and random() < %s
for no key update skip locked
"""
LATER = "update squid_mesh.clock set shift = shift + %s * interval '1 minute'"
_KEEP = """
insert into chaos.faults (kind, boot, began, ended, bodies) values (%s, %s, %s, %s, %s)
"""


_TRIES, _SOON = 50, 0.2
"""How often, and after how many seconds again, a blow is tried that meets nobody."""


@dataclass(frozen=True, slots=True)
class Befallen:
    """A fault that came to pass: a row of the ledger."""

    kind: str
    boot: int | None
    began: datetime
    ended: datetime
    bodies: int | None


class Villain:
    """Strikes at workers, server, connections and jobs."""

    def __init__(self, server: Server, crew: Crew) -> None:
        self._server = server
        self._crew = crew
        self._dsn = server.dsn()
        self.befallen: list[Befallen] = []
        self.missed = 0
        """Blows that met nobody: no worker was up, or the server wasn't."""

    async def play(self, plan: Sequence[Fault]) -> None:
        """All of it, each at its time; whoever stands still goes on in the end."""
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as blows:
            for fault in plan:
                await asyncio.sleep(began + fault.at - asyncio.get_running_loop().time())
                blows.create_task(self.strike(fault))

    async def write_down(self) -> None:
        """Put what came to pass into the ledger."""
        async with await AsyncConnection.connect(self._dsn) as connection:
            await connection.cursor().executemany(_KEEP, [astuple(b) for b in self.befallen])

    async def strike(self, fault: Fault) -> int | None:
        """Strike, when there is somebody to be struck: a server may be down, or all workers.

        Returns the boot that was struck, if it was one.
        """
        for _ in range(_TRIES):
            began = datetime.now(UTC)
            try:
                struck, bodies = await self._blow(fault)
            except (psycopg.OperationalError, LookupError, ProcessLookupError):
                await asyncio.sleep(_SOON)
            else:
                befallen = Befallen(fault.name, struck, began, datetime.now(UTC), bodies)
                logger.info("%s", befallen)
                self.befallen.append(befallen)
                return struck
        self.missed += 1
        return None

    async def _blow(self, fault: Fault) -> tuple[int | None, int | None]:
        """Strike; which boot was struck, if it was one, and how many bodies were under way then."""
        match fault.kind:
            case Kind.KILLED | Kind.STOPPED | Kind.ENDED | Kind.CUT:
                return await self._strike_worker(fault)
            case Kind.SERVER_CRASHES | Kind.SERVER_KILLED | Kind.SERVER_RESTARTED:
                return None, await self._strike_server(fault)
            case Kind.TAMPERED:
                await self._tamper(fault)
            case Kind.HELD:
                await self._hold(fault)
            case Kind.CLOCK:
                await every(self._dsn, LATER, 1 + int(fault.lasts))
            case _:
                assert_never(fault.kind)
        return None, None

    async def _strike_worker(self, fault: Fault) -> tuple[int | None, int | None]:
        worker = self._crew.pick(fault.worker)
        if worker is None:
            raise LookupError("no worker is up")
        match fault.kind:
            case Kind.KILLED:
                await worker.dies()
            case Kind.STOPPED:
                await _stand_still(worker, fault.lasts)
            case Kind.ENDED:
                if not await worker.ends():
                    self._crew.troubles.append("a worker that was told to end didn't")
            case _:
                await every(self._dsn, _CUT, worker.user, fault.share)
        return worker.boot, await self._under_way(worker.boot)

    async def _strike_server(self, fault: Fault) -> int | None:
        async with self._server.lock:
            bodies = await self._under_way(None)
            match fault.kind:
                case Kind.SERVER_RESTARTED:
                    await self._server.stop()
                    await self._server.start()
                case Kind.SERVER_KILLED:
                    await self._server.crash()
                    await self._server.start()
                case _:
                    await self._kill_a_backend()
            return bodies

    async def _kill_a_backend(self) -> None:
        """The server ends all others for safety, and recovers as after a crash of its own."""
        rows = await every(self._dsn, _BACKEND)
        if not rows:
            raise LookupError("nobody is connected")
        async with await AsyncConnection.connect(self._dsn) as witness:
            os.kill(rows[0][0], signal.SIGKILL)
            try:
                while True:
                    await witness.execute("select pg_sleep(0.05)")
            except psycopg.OperationalError:
                pass
        await _answers(self._dsn)

    async def _tamper(self, fault: Fault) -> None:
        async with await AsyncConnection.connect(self._dsn) as connection:
            jobs = await (await connection.execute(SHARE, (fault.share,))).fetchall()
            await connection.execute(TAMPERING[fault.how].encode(), ([job for (job,) in jobs],))

    async def _hold(self, fault: Fault) -> None:
        async with await AsyncConnection.connect(self._dsn) as connection:
            await connection.execute(_HOLD, (fault.share,))
            await asyncio.sleep(fault.lasts)

    async def _under_way(self, boot: int | None) -> int | None:
        """Bodies under a boot's claims, or everybody's; None when the server doesn't say."""
        try:
            ((bodies,),) = await every(self._dsn, _UNDER_WAY, boot, boot)
        except psycopg.OperationalError:
            return None
        return int(bodies)


async def _stand_still(worker: Worker, seconds: float) -> None:
    worker.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        worker.signal(signal.SIGCONT)


async def _answers(dsn: str) -> None:
    """Wait until the server takes connections."""
    while True:
        try:
            await every(dsn, "select")
        except psycopg.OperationalError:
            await asyncio.sleep(0.05)
        else:
            return
