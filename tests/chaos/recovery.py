"""`make chaos ARGS=--recovery`: how soon a step begins again whose worker was killed.

Every queue is full and 10,000 jobs wait: what was interrupted must not wait behind them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.chaos import report
from tests.chaos.crew import Crew
from tests.chaos.host import AGAIN, Host, hosting
from tests.chaos.ledger import TABLES
from tests.chaos.plan import Fault, Kind
from tests.chaos.server import serving
from tests.chaos.shapes import Chain, Task
from tests.chaos.stage import LEDGER, Play, crew_on
from tests.chaos.villain import Villain
from tests.chaos.worker import Pace
from tests.clock import every, one

DEFAULTS = Pace(heartbeat=2.0, lease=10.0, grace=2.0, overdue=5.0)
QUICK = Pace(heartbeat=0.5, lease=2.0, grace=2.0, overdue=1.0)

_BATCH = 500
_MILLISECONDS = 200

_WAITING = "select count(*)::int from oban_jobs where state = 'available'"
_UNDER_WAY = "select count(*)::int from squid_mesh.steps where status = 'running'"
# Steps that a boot held, and that have not begun again.
_LEFT = """
select count(*)::int from squid_mesh.steps s
where s.status = 'running' and s.claim = %s
   or s.status = 'pending' and exists (
     select from squid_mesh.attempts a
     where a.run_id = s.run_id and a.step = s.step and a.claim = %s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What came of so many kills: seconds to the next body of each body that was under way."""

    pace: Pace
    kills: int
    waiting: int
    """Jobs that waited in the end: at least as many did before."""
    seconds: list[float]

    def __str__(self) -> str:
        return (
            f"heartbeat {self.pace.heartbeat:g} s, lease {self.pace.lease:g} s, "
            f"{self.kills} kills, {self.waiting} jobs waiting: {report.percentiles(self.seconds)}"
        )


async def measure(pace: Pace, *, workers: int, kills: int, runs: int) -> Recovery:
    """Kill one worker after the other, each when all is under way again."""
    play = Play(workers=workers, pace=pace)
    async with serving([*play.users, LEDGER]) as server:
        await every(server.dsn(), TABLES)
        async with hosting(server.dsn(), server.dsn(LEDGER), pace) as host:
            await _fill(host, runs)
        crew = crew_on(server, play)
        villain = Villain(server, crew)
        await crew.start()
        try:
            for number in range(kills):
                await _is_full(server.dsn(), crew)
                await _kill(villain, server.dsn(), number)
            waiting = (await one(server.dsn(), _WAITING))[0]
        finally:
            await crew.stop()
        await villain.write_down()
        seconds = await report.recoveries(server.dsn())
        return Recovery(pace=pace, kills=kills, waiting=waiting, seconds=seconds)


async def _fill(host: Host, runs: int) -> None:
    tasks = [Task(number=number, milliseconds=_MILLISECONDS) for number in range(runs)]
    for first in range(0, runs, _BATCH):
        await host.mesh.start_runs(Chain, tasks[first : first + _BATCH])


async def _is_full(dsn: str, crew: Crew) -> None:
    """Wait until every worker is up and has its hands full."""
    full = len(crew.users) * crew.pace.bodies * 9 // 10
    while len(crew.up) < len(crew.users) or (await one(dsn, _UNDER_WAY))[0] < full:
        await asyncio.sleep(AGAIN)


async def _kill(villain: Villain, dsn: str, number: int) -> None:
    """Kill one, and wait until all that it did has begun again."""
    blow = Fault(at=0, kind=Kind.KILLED, worker=number, lasts=0, share=1)
    boot = await villain.strike(blow)
    while (await one(dsn, _LEFT, boot, boot))[0]:
        await asyncio.sleep(AGAIN)
