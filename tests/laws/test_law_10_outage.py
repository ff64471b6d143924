"""A database that was gone for longer than a lease: nobody could beat, and yet not all are dead."""

from datetime import timedelta

from tests.clock import every
from tests.laws.journal import Journal
from tests.laws.processes import Process, workers
from tests.laws.proxy import proxied
from tests.laws.worker import LEASE
from tests.laws.workflows import Held
from tests.laws.worlds import all_ended, unsound
from tests.meshes import eventually

_BEATS = """
select min(alive_at) > clock_timestamp() - %s, max(alive_at) > clock_timestamp() - %s
from squid_mesh.workers where pid = any(%s)
"""


async def beat(dsn: str, processes: list[Process], within: timedelta) -> tuple[bool, bool]:
    """Whether all of them have beaten lately, and whether any has."""
    pids = [process.pid for process in processes]
    ((have_all, has_any),) = await every(dsn, _BEATS, within, within, pids)
    return have_all, has_any


async def test_who_lives_keeps_its_steps_and_who_died_meanwhile_loses_them(
    dsn: str, journal: Journal
) -> None:
    async with (
        proxied(dsn) as (proxy, through),
        workers(through, 4, journal=dsn) as (doomed, *others),
    ):
        for process in (doomed, *others) * 4:
            await process.starts(Held)
        await journal.has(16, "work")

        await proxy.shut()
        await doomed.dies()

        async def are_silent() -> bool:
            return (await beat(dsn, others, LEASE)) == (False, False)

        await eventually(are_silent)
        proxy.open()

        async def is_recovered() -> bool:
            rows = await every(dsn, "select count(*) from bodies where attempt = 2")
            lost = await every(dsn, "select 1 from bodies where pid = %s and step = 'work'", pid)
            return rows == [(len(lost),)] and (await beat(dsn, others, LEASE))[0]

        pid = doomed.pid
        await eventually(is_recovered)
        await journal.let_go()
        await eventually(lambda: all_ended(dsn))
    interrupted = await every(dsn, "select run_id, step from squid_mesh.attempts")
    lost = await every(dsn, "select run, step from bodies where pid = %s and step = 'work'", pid)
    assert sorted(interrupted) == sorted(lost)
    assert set((await journal.bodies()).values()) == {1}
    assert await unsound(dsn) == []
