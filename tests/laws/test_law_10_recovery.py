"""Within the recovery bound every live run has somebody, or something, that brings it on.

A running step under a live lease, a scheduled step with its job, a paused or parked step, or a
queued job. Nothing in any process's memory is needed to go on.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from psycopg import AsyncConnection

from squid_mesh import Mesh
from tests.clock import every
from tests.laws.journal import Journal
from tests.laws.processes import workers
from tests.laws.tampering import SHARE, TAMPERING
from tests.laws.worker import HEARTBEAT, LEASE, OVERDUE
from tests.laws.workflows import BODIES, ENDS, SHORT_SHAPES, WORKFLOWS, Chain, Fan
from tests.laws.worlds import all_ended, unsound
from tests.meshes import QUEUE, eventually, on_host

SEED = 10

FATES = TAMPERING | {
    "left executing": """
        update oban_jobs
        set state = 'executing', attempted_at = timezone('UTC', now()), attempt = attempt + 1
        where id = any(%s) and state in ('available', 'scheduled', 'retryable')""",
    "delivered to whoever is there": """
        update oban_jobs set state = 'available', scheduled_at = timezone('UTC', now())
        where id = any(%s)""",
    "of another step": """
        update oban_jobs j set args = jsonb_set(j.args, '{step}', other.args -> 'step')
        from oban_jobs other where j.id = any(%s) and other.id = j.id + 1""",
}
"""What may befall single jobs, all at the same time."""

_STUCK = """
select s.run_id::text, s.step, s.status, j.state::text
from squid_mesh.steps s
  left join oban_jobs j on j.id = s.job_id
  left join squid_mesh.workers w on w.boot = s.claim
where s.status in ('pending', 'scheduled')
      and not coalesce(
        j.state in ('available', 'executing')
        or j.state in ('scheduled', 'retryable')
           and j.scheduled_at < timezone('UTC', greatest(s.due_at, now()) + interval '1 s'), false)
   or s.status = 'running'
      and coalesce(w.alive_at < now() - make_interval(secs => %s), true)
"""
"""Live steps that nobody and nothing brings on."""


def driving(dsn: str, journal: Journal) -> AbstractAsyncContextManager[Mesh]:
    """A process that recovers quickly."""
    queues = {QUEUE: 10, "other": 2}
    quick: dict[str, Any] = {"heartbeat": HEARTBEAT, "lease": LEASE, "overdue": OVERDUE}
    return on_host(dsn, WORKFLOWS, queues=queues, resources=[journal], **quick)


async def start(dsn: str, count: int) -> None:
    """Start so many runs of each shape, where nobody drives them."""
    async with on_host(dsn, WORKFLOWS, queues={}) as idle:
        await start_on(idle, count)


async def start_on(mesh: Mesh, count: int) -> None:
    for workflow in SHORT_SHAPES:
        await mesh.start_runs(workflow, [{}] * count)


async def befalls(dsn: str, kinds: Callable[[], str], rounds: int = 1) -> None:
    """Round after round of chaos, as long as there are runs."""
    async with await AsyncConnection.connect(dsn) as connection:
        for _ in range(rounds):
            jobs = await (await connection.execute(SHARE, (0.5,))).fetchall()
            await connection.execute(TAMPERING[kinds()].encode(), ([job for (job,) in jobs],))
            await connection.commit()
            if await all_ended(dsn):
                break


async def check(dsn: str, journal: Journal) -> None:
    """Every run has ended as defined, and no body ran without need."""
    ends = await every(dsn, "select distinct workflow, status from squid_mesh.runs")
    assert {status == ENDS[workflow] for workflow, status in ends} == {True}
    assert await unsound(dsn) == []
    assert await journal.unclaimed() == []
    bodies = await journal.bodies()
    assert set(bodies.values()) == {1}
    names = dict(await every(dsn, "select id, workflow from squid_mesh.runs"))
    begun = Counter((names[run], step) for run, step, _ in bodies)
    runs = Counter(names.values())
    for workflow, steps in BODIES.items():
        if workflow != "Doomed":  # whose failure may come before its other step begins
            found = {step: begun[workflow, step] for step in steps}
            assert found == {step: n * runs[workflow] for step, n in steps.items()}


@pytest.mark.parametrize("kind", TAMPERING)
async def test_half_of_the_jobs_are(dsn: str, journal: Journal, kind: str) -> None:
    """Before anybody gets to them, and again and again while they are driven."""
    await start(dsn, 3)
    await befalls(dsn, lambda: kind)
    async with driving(dsn, journal):
        await befalls(dsn, lambda: kind, 10)
        await eventually(lambda: all_ended(dsn))
    await check(dsn, journal)


async def test_everything_befalls_the_jobs_of_two_processes(dsn: str, journal: Journal) -> None:
    chance = random.Random(SEED)  # noqa: S311 (an order, not a secret)
    kinds = sorted(TAMPERING)
    await start(dsn, 12)
    async with workers(dsn, 1), driving(dsn, journal):
        await befalls(dsn, lambda: chance.choice(kinds), 60)
        await eventually(lambda: all_ended(dsn))
    await check(dsn, journal)


async def test_hundreds_of_runs_come_through_whatever_befalls_their_jobs(
    dsn: str, journal: Journal
) -> None:
    """Each job has a fate of its own, for as long as runs are started and for a while after."""
    chance = random.Random(SEED)  # noqa: S311 (an order, not a secret)
    fates: Counter[str] = Counter()
    async with workers(dsn, 1), driving(dsn, journal) as mesh:
        for _ in range(WAVES):
            await start_on(mesh, 10)
            for _ in range(6):
                await meet_their_fates(dsn, chance, fates)
        began = time.monotonic()
        await eventually(lambda: nothing_is_stuck(dsn))
        recovered = time.monotonic() - began
        await eventually(lambda: all_ended(dsn))
    assert recovered < RECOVERY, "a job that is gone is made up for within the bound"
    assert set(fates) == set(FATES)
    assert fates.total() > 1000
    await check(dsn, journal)


WAVES = 4

RECOVERY = LEASE.total_seconds() + OVERDUE.total_seconds() + 2 * HEARTBEAT.total_seconds() + 2.0
"""A job that is executed by nobody is found after a lease; then a machine may have other things
to do."""


async def meet_their_fates(dsn: str, chance: random.Random, fates: Counter[str]) -> None:
    """Half of the jobs that nobody holds, each its own."""
    async with await AsyncConnection.connect(dsn) as connection:
        jobs = [job for (job,) in await (await connection.execute(SHARE, (0.5,))).fetchall()]
        chance.shuffle(jobs)
        kinds = sorted(FATES)
        for number, kind in enumerate(kinds):
            met = jobs[number :: len(kinds)]
            await connection.execute(FATES[kind].encode(), (met,))
            fates[kind] += len(met)


async def nothing_is_stuck(dsn: str) -> bool:
    return not await every(dsn, _STUCK, LEASE.total_seconds())


async def test_a_process_that_starts_upon_a_backlog_drives_it_at_once(
    dsn: str, journal: Journal
) -> None:
    """Its Oban may fetch jobs before the mesh is up; none of them is in for a backoff."""
    async with on_host(dsn, WORKFLOWS, queues={}) as idle:
        await idle.start_runs(Chain, [{}] * 40)
    async with driving(dsn, journal):
        await eventually(lambda: all_ended(dsn))
    assert (
        await every(dsn, "select errors from oban_jobs where jsonb_array_length(errors) > 0") == []
    )
    await check(dsn, journal)


async def test_processes_that_are_killed_under_load(dsn: str, journal: Journal) -> None:
    """One after the other, until none is left; the next one knows of nothing but the tables."""
    async with on_host(dsn, WORKFLOWS, queues={}) as idle:
        await idle.start_runs(Fan, [{}] * 60)
    async with workers(dsn, 2, queues={QUEUE: 20}) as doomed:
        for number, process in enumerate(doomed, 1):
            await journal.has(number * 150)
            await process.dies()
    assert not await all_ended(dsn)
    assert await unsound(dsn) == []
    async with driving(dsn, journal):
        await eventually(lambda: all_ended(dsn))
    assert await every(dsn, "select distinct status from squid_mesh.runs") == [("completed",)]
    assert await unsound(dsn) == []
    assert await journal.unclaimed() == []
    bodies = await journal.bodies()
    assert set(bodies.values()) == {1}
    interrupted = "select count(*) from squid_mesh.attempts where status = 'interrupted'"
    ((died,),) = await every(dsn, interrupted)
    assert died <= 2 * 20, "no more than was under way"
    assert len(bodies) <= 60 * 12 + died
