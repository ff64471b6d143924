"""One run of chaos from its beginning to its report."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.chaos import checker, report
from tests.chaos.crew import Crew
from tests.chaos.generator import Generator
from tests.chaos.host import AGAIN, TROUBLE, Host, hosting, insistently
from tests.chaos.ledger import TABLES
from tests.chaos.orders import orders
from tests.chaos.plan import plan
from tests.chaos.report import Report
from tests.chaos.robot import Robot
from tests.chaos.server import Server, serving
from tests.chaos.shapes import Minutely
from tests.chaos.villain import LATER, Villain
from tests.chaos.worker import Pace
from tests.clock import every

logger = logging.getLogger(__name__)

LEDGER = "ledger"
"""The user of the bodies' own connections, whom the villain spares."""

NAP_LOOKS = 10
"""After so many looks at what hasn't come to rest, the longest naps are over."""

_RESTLESS = """
select workflow || ' ' || status || ': ' || count(*) from squid_mesh.runs where outcome is null
group by workflow, status
union all
select 'its next window is ' || next_window || ', the time ' || squid_mesh.now()
  || ', its job ' || coalesce(state::text || ' for ' || scheduled_at, 'gone')
from squid_mesh.schedules s left join oban_jobs j on j.id = s.job_id
where next_window < squid_mesh.now() and not s.paused
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What is played: `faults` a second for so many `seconds`, over `room` live runs."""

    seed: int = 1
    seconds: float = 120.0
    workers: int = 4
    faults: float = 2.2
    room: int = 400
    settling: float = 90.0
    """Seconds within which all must have come to rest."""
    pace: Pace = field(default_factory=Pace)
    log: Path = Path(tempfile.gettempdir(), "squid-mesh-chaos.log")
    """What all processes have to say."""

    @property
    def users(self) -> list[str]:
        """A user of the server for each worker: so it can be told whose a connection is."""
        return [f"worker_{number}" for number in range(self.workers)]


async def perform(play: Play) -> Report:
    """Play it; what came of it."""
    async with serving([*play.users, LEDGER]) as server:
        await every(server.dsn(), TABLES)
        crew = crew_on(server, play)
        villain = Villain(server, crew)
        async with hosting(server.dsn(), server.dsn(LEDGER), play.pace) as host:
            generator = Generator(host, orders(play.seed), play.room)
            settled = await _act(play, crew, villain, generator)
            await host.write_down()
        await villain.write_down()
        found = [checker.Finding("trouble", t) for t in (*crew.troubles, *generator.troubles)]
        figures: Any = await report.figures(server.dsn())
        return Report(
            seed=play.seed,
            seconds=play.seconds,
            settled=settled,
            missed=villain.missed,
            boots=crew.boots,
            findings=found + await checker.check(server.dsn()),
            **figures,
        )


def crew_on(server: Server, play: Play) -> Crew:
    """The workers of a play."""
    return Crew(
        users=play.users,
        dsns={user: server.dsn(user) for user in play.users},
        ledger_dsn=server.dsn(LEDGER),
        pace=play.pace,
        log=play.log,
    )


async def _act(play: Play, crew: Crew, villain: Villain, generator: Generator) -> float:
    """Everybody at once, then the villain and the generator leave; how long rest took to come."""
    host = generator.host
    await crew.start()
    robot = asyncio.create_task(Robot(host).run())
    try:
        async with asyncio.TaskGroup() as acts:
            acts.create_task(generator.run(play.seconds))
            acts.create_task(
                villain.play(plan(play.seed, play.seconds, faults_a_second=play.faults))
            )
        settled = await _settle(host, play.settling, crew.troubles)
        await insistently(lambda: host.mesh.pause_schedule(Minutely, "each"))
        await generator.see_to_the_rest()
        await _settle(host, play.settling, crew.troubles)
    finally:
        await crew.stop()
        robot.cancel()
        (ended,) = await asyncio.gather(robot, return_exceptions=True)
        if isinstance(ended, Exception):
            crew.troubles.append(f"the robot: {ended!r}")
    return settled


async def _settle(host: Host, within: float, troubles: list[str]) -> float:
    """Wait until no run lives and no window is due, or for so many seconds; how long it took."""
    began = asyncio.get_running_loop().time()
    restless: list[str] = []
    try:
        async with asyncio.timeout(within):
            for look in count(1):
                restless = await _restless(host.dsn)
                if not restless:
                    break
                logger.info("no rest: %s", restless)
                if look % NAP_LOOKS == 0:
                    await insistently(lambda: every(host.dsn, LATER, 3))
                await asyncio.sleep(AGAIN)
    except TimeoutError:
        troubles.append(f"no rest within {within:g} s: {'; '.join(restless)}")
    return asyncio.get_running_loop().time() - began


async def _restless(dsn: str) -> list[str]:
    try:
        return [what for (what,) in await every(dsn, _RESTLESS)]
    except TROUBLE:
        return ["the server doesn't answer"]
