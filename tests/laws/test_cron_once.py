"""One cron window, one run, whoever fires it and however often."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from psycopg.errors import DeadlockDetected

from squid_mesh.runtime.scheduling import Tick
from tests.clock import advance, every, one, wake_jobs
from tests.conformance import conforms
from tests.laws import crons
from tests.laws.journal import Journal
from tests.laws.processes import worker, workers
from tests.laws.worker import LEASE
from tests.laws.worlds import all_ended, unsound
from tests.meshes import eventually, on_host

MINUTE = timedelta(minutes=1)

_AGAIN = """
insert into oban_jobs (state, queue, worker, args, max_attempts, scheduled_at)
select 'scheduled', queue, worker, args, max_attempts, scheduled_at from oban_jobs,
  generate_series(1, 3)
where args ? 'cron' order by random() limit 30
"""
_BACK = "update squid_mesh.clock set shift = shift - interval '10 minutes'"
_LOST = "delete from oban_jobs where args ? 'cron' and state <> 'executing'"


async def windows_of(dsn: str) -> list[datetime]:
    """The windows of all runs, in order."""
    rows = await every(dsn, "select window_at from squid_mesh.runs order by window_at")
    return [window for (window,) in rows]


async def schedule_of(dsn: str) -> tuple[datetime | None, datetime, datetime]:
    """Its last window, its next one, and the schema's time."""
    last, following, at = await one(
        dsn, "select last_window, next_window, squid_mesh.now() from squid_mesh.schedules"
    )
    return last, following, at


async def disturb(what: Callable[[], Awaitable[object]]) -> None:
    """Do something to all jobs, again when it met Oban's own updates of them."""
    while True:
        try:
            await what()
        except DeadlockDetected:
            continue
        return


async def pass_one(dsn: str, chance: random.Random) -> None:
    """See one window to its end, or several, while everything is delivered again and again."""
    _, window, at = await schedule_of(dsn)
    by = window - at + chance.choice([0, 0, 3]) * MINUTE
    await every(dsn, _AGAIN)
    await disturb(lambda: advance(dsn, by))
    await every(dsn, _AGAIN)
    await disturb(lambda: wake_jobs(dsn))

    async def is_over() -> bool:
        return (await schedule_of(dsn))[1] > window

    await eventually(is_over)
    if chance.random() < 0.3:
        await every(dsn, _BACK)
        await disturb(lambda: wake_jobs(dsn))
    if chance.random() < 0.3:
        await disturb(lambda: every(dsn, _LOST))
        await disturb(lambda: advance(dsn, timedelta(seconds=10)))


async def settled(dsn: str) -> bool:
    """Whether no job of a window is under way and every run has ended."""
    busy = "select 1 from oban_jobs where args ? 'cron' and state in ('available', 'executing')"
    return await all_ended(dsn) and not await every(dsn, busy)


@conforms("S166")
async def test_in_two_processes_with_everything_delivered_again(dsn: str, journal: Journal) -> None:
    """And with clocks that step back, jobs that get lost, and windows that were missed."""
    chance = random.Random(8)  # noqa: S311 (an order, not a secret)
    async with workers(dsn, 2, module=crons.__name__) as both:
        _, first, _ = await schedule_of(dsn)
        for _ in range(20):
            await pass_one(dsn, chance)

        async def is_quiet() -> bool:
            return await settled(dsn)

        await eventually(is_quiet)
        last, _, _ = await schedule_of(dsn)
        assert await journal.processes() <= {process.pid for process in both}
    windows = await windows_of(dsn)
    assert last is not None
    assert windows == [first + n * MINUTE for n in range((last - first) // MINUTE + 1)]
    assert len(windows) >= 20
    bodies = await journal.bodies()
    assert len(bodies) == len(windows)
    assert set(bodies.values()) == {1}
    assert await unsound(dsn) == []


async def test_a_process_dies_and_the_other_goes_on(dsn: str, journal: Journal) -> None:
    chance = random.Random(88)  # noqa: S311 (an order, not a secret)
    async with workers(dsn, 2, module=crons.__name__) as (doomed, _):
        _, first, _ = await schedule_of(dsn)
        for _ in range(3):
            await pass_one(dsn, chance)
        await every(dsn, _AGAIN)
        await disturb(lambda: wake_jobs(dsn))
        await doomed.dies()
        for _ in range(3):
            await pass_one(dsn, chance)

        async def is_over() -> bool:
            return await all_ended(dsn)

        await eventually(is_over)
        last, _, _ = await schedule_of(dsn)
    windows = await windows_of(dsn)
    assert last is not None
    assert windows == [first + n * MINUTE for n in range((last - first) // MINUTE + 1)]


async def test_a_window_whose_process_dies_while_it_makes_the_payload(
    dsn: str, journal: Journal
) -> None:
    """Another has it as soon as the lease is over, and not before: a payload may take longer."""
    async with (
        worker(dsn, module=crons.__name__, hangs=True) as doomed,
        worker(dsn, module=crons.__name__, queues={}),
    ):
        _, window, at = await schedule_of(dsn)
        await advance(dsn, window - at)
        await eventually(lambda: every(dsn, "select 1 from squid_mesh.schedules where claim > 0"))
        before = await one(dsn, "select job_id from squid_mesh.schedules")

        async def takes_long() -> bool:
            query = "select attempted_at < timezone('UTC', now()) - %s from oban_jobs where id = %s"
            return await every(dsn, query, 2 * LEASE, *before) == [(True,)]

        await eventually(takes_long)
        assert await one(dsn, "select job_id from squid_mesh.schedules") == before
        async with worker(dsn, module=crons.__name__):
            await doomed.dies()
            died = time.monotonic()
            await journal.has(1)
            assert time.monotonic() - died < LEASE.total_seconds() + 5, "far from half a minute"
    assert await windows_of(dsn) == [window]


async def test_in_two_meshes_at_the_same_moment(dsn: str, journal: Journal) -> None:
    """Ten deliveries at once, five to each mesh, of every window."""
    options: dict[str, Any] = {"queues": {}, "resources": [journal]}
    async with (
        on_host(dsn, crons.WORKFLOWS, name="one", **options) as one_mesh,
        on_host(dsn, crons.WORKFLOWS, name="other", **options) as other_mesh,
    ):
        schedulers = [one_mesh._process.scheduler, other_mesh._process.scheduler] * 5
        for number in range(1, 11):
            _, window, at = await schedule_of(dsn)
            await advance(dsn, window - at)
            tick = Tick(workflow="Minutely", trigger="each", window=window, job=None)
            async with asyncio.TaskGroup() as group:
                for scheduler in schedulers:
                    group.create_task(scheduler.fire(tick))
            assert len(await windows_of(dsn)) == number
            assert (await one(dsn, "select count(*) from oban_jobs where args ? 'cron'")) == (1,)
