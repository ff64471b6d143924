"""After a decision has returned, it and the delivery of the next step are durable.

With `conn=`: after the host's commit. The same key again changes nothing.
"""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from squid_mesh import Mesh
from tests.clock import every, one
from tests.conformance import conforms
from tests.laws.journal import Journal
from tests.laws.processes import spawn, worker, workers
from tests.laws.workflows import WORKFLOWS, Gated
from tests.laws.worlds import all_ended, tables, unsound
from tests.meshes import eventually, on_host

ROUNDS = 30
MOST_BOUNDARIES = 40

DECIDES: dict[str, Any] = {"queues": {}, "heartbeat": 2.0, "lease": 60.0}
"""A process that only decides, and takes nobody over who beats as seldom as a mesh does."""


async def at_their_gate(mesh: Mesh, dsn: str, count: int) -> list[UUID]:
    """Runs that wait for somebody, each."""
    runs = [run.id for run in await mesh.start_runs(Gated, [{}] * count)]

    async def are() -> bool:
        paused = "select count(*) from squid_mesh.runs where status = 'paused'"
        return await one(dsn, paused) == (count,)

    await eventually(are)
    return runs


async def decided(dsn: str, run_id: UUID) -> tuple[Any, ...]:
    """What there is of a decision: the gate, the event, the next step and its job, each or not."""
    return await one(
        dsn,
        """
        select g.status = 'completed',
          exists (select from squid_mesh.audit_events where run_id = g.run_id and type = 'resumed'),
          exists (select from squid_mesh.steps where run_id = g.run_id and step = 'after'),
          exists (select from squid_mesh.steps s join oban_jobs j on j.id = s.job_id
                  where s.run_id = g.run_id and s.step = 'after')
        from squid_mesh.steps g where g.run_id = %s and g.step = 'gate'
        """,
        run_id,
    )


async def to_the_end(dsn: str, journal: Journal) -> None:
    """Let another process drive what is left."""
    async with on_host(dsn, WORKFLOWS, resources=[journal]):

        async def is_over() -> bool:
            return await all_ended(dsn)

        await eventually(is_over)


async def test_a_process_that_dies_once_it_has_decided(dsn: str, journal: Journal) -> None:
    """Killed as soon as its call has returned, it leaves the decision and the next step's job."""
    async with on_host(dsn, WORKFLOWS, resources=[journal]) as mesh:
        runs = await at_their_gate(mesh, dsn, 5)
    for run in runs:
        async with worker(dsn, **DECIDES) as decider:
            assert await decider.asked("unblock", str(run)) == "running"
            await decider.dies()
        assert await decided(dsn, run) == (True, True, True, True)
    await to_the_end(dsn, journal)
    assert await unsound(dsn) == []
    for run in runs:
        assert await journal.steps_of(run) == ["after"]


@conforms("S138")
async def test_a_process_that_dies_between_two_statements_of_it(dsn: str, journal: Journal) -> None:
    """The decision is there as a whole or not at all, and the same key makes it once."""
    async with on_host(dsn, WORKFLOWS, resources=[journal]) as mesh:
        runs = await at_their_gate(mesh, dsn, MOST_BOUNDARIES)
    process = await spawn("tests.laws.deciding", dsn, *map(str, runs))
    told, _ = await process.communicate()
    assert process.returncode == 0
    boundaries = int(told)
    assert 12 <= boundaries < MOST_BOUNDARIES
    made = [await decided(dsn, run) for run in runs[: boundaries + 1]]
    nothing, everything = (False,) * 4, (True,) * 4
    assert set(made) == {nothing, everything}
    assert (made[0], made[-1]) == (nothing, everything)
    assert sorted(made) == made, "what dies later has got further"
    assert await unsound(dsn) == []

    async with on_host(dsn, WORKFLOWS, queues={}) as again:
        for run, whole in zip(runs, made, strict=False):
            before = await tables(dsn, run)
            await again.unblock_run(run, actor="ops", key="once")
            assert await decided(dsn, run) == everything
            assert (await tables(dsn, run) == before) == (whole == everything)
        for run in runs[boundaries + 1 :]:
            await again.cancel_run(run)
    await to_the_end(dsn, journal)
    assert await unsound(dsn) == []


async def test_the_same_decision_in_several_processes_at_once(dsn: str, journal: Journal) -> None:
    async with on_host(dsn, WORKFLOWS, resources=[journal]) as mesh:
        runs = await at_their_gate(mesh, dsn, ROUNDS)
        async with workers(dsn, 3, **DECIDES) as deciders:
            for run in runs:
                await asyncio.gather(*(d.asked("unblock", str(run)) for d in deciders))

        async def is_over() -> bool:
            return await all_ended(dsn)

        await eventually(is_over)
    assert await unsound(dsn) == []
    events = "select count(*) from squid_mesh.audit_events where type = 'resumed' group by run_id"
    assert await every(dsn, events) == [(1,)] * ROUNDS
    for run in runs:
        assert await journal.steps_of(run) == ["after"]


@pytest.mark.parametrize("count", [1, 4])
async def test_what_is_decided_waits_for_no_sweep(dsn: str, journal: Journal, count: int) -> None:
    """The job is there at once: nothing that looks for lost steps finds any."""
    async with on_host(dsn, WORKFLOWS, resources=[journal]) as mesh:
        runs = await at_their_gate(mesh, dsn, count)
    async with on_host(dsn, WORKFLOWS, queues={}) as decider:
        for run in runs:
            await decider.unblock_run(run)
        before = [await tables(dsn, run) for run in runs]
        await decider._process._recovery._tick()
        assert [await tables(dsn, run) for run in runs] == before
