"""Several meshes: in one process, in one database, on one Oban. What each promises the others."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from squid_mesh import InvalidConfig, Mesh, NoPayload, RunNotFound, Workflow, cron, resource, step
from tests.clock import advance, every, one
from tests.meshes import (
    QUEUE,
    SHORT,
    Probe,
    ended,
    eventually,
    oban_on,
    on_host,
    own_pool,
    play,
    step_of,
)

SOMEBODY_LIVES = """
insert into squid_mesh.workers (mesh, node, pid, definitions, alive_at)
select 'one', 'elsewhere', 1, array[definition], now() + interval '1 hour' from squid_mesh.runs
"""

FAST: dict[str, Any] = {"heartbeat": timedelta(seconds=0.1), "lease": timedelta(seconds=1)}


async def say() -> str:
    return "said"


async def shout() -> str:
    return "SAID"


async def hold(probe: Probe) -> str:
    await probe.hold("held")
    return "held"


class Say(Workflow[NoPayload]):
    work = step(say).takes()


class Shout(Workflow[NoPayload], name="Say"):
    """Of the same name, in another schema: another workflow."""

    hourly = cron("0 * * * *", timezone="Etc/UTC")
    work = step(shout).takes()


class Held(Workflow[NoPayload]):
    work = step(hold).takes(resource(Probe))
    last = step(say, after=[work]).takes()


@pytest.fixture
async def two_schemas(dsn: str) -> str:
    """A database with a second schema, `flows`."""
    async with own_pool(dsn) as pool:
        await Mesh(pool, oban=oban_on(pool, {}), workflows=[], schema="flows").migrate()
    return dsn


async def test_two_schemas_share_a_name_a_queue_and_an_oban(two_schemas: str) -> None:
    """A job of one is never taken for the other's, whoever of them Oban calls first."""
    async with own_pool(two_schemas) as pool:
        oban = oban_on(pool)
        ours = Mesh(pool, oban=oban, workflows=[Say], grace=SHORT)
        theirs = Mesh(pool, oban=oban, workflows=[Shout], schema="flows", grace=SHORT)
        async with oban, ours, theirs:
            for _ in range(5):
                said, shouted = await asyncio.gather(play(ours, Say), play(theirs, Shout))
                assert (said.context, shouted.context) == ({"work": "said"}, {"work": "SAID"})
                with pytest.raises(RunNotFound):
                    await theirs.inspect_run(said.id)
            assert len((await ours.list_runs()).runs) == 5
            assert len((await theirs.list_runs()).runs) == 5
            assert await ours.schedules() == []
            assert [schedule.trigger for schedule in await theirs.schedules()] == ["hourly"]
            counts = "select (select count(*) from squid_mesh.workers), count(*) from flows.workers"
            assert await one(two_schemas, counts) == (1, 1)
    assert await every(two_schemas, "select 1 from squid_mesh.attempts") == []


async def test_a_cron_job_of_another_schema_is_its_own(two_schemas: str) -> None:
    async with on_host(two_schemas, [Shout], schema="flows"):
        (job,) = await every(two_schemas, "select worker, queue from oban_jobs")
        assert job == ("squid_mesh.squid_mesh@flows", QUEUE)
    async with on_host(two_schemas, [Shout]), on_host(two_schemas, [Shout], schema="flows"):
        workers = await every(two_schemas, "select worker from oban_jobs order by 1")
        assert workers == [("squid_mesh.squid_mesh",), ("squid_mesh.squid_mesh@flows",)]


async def test_the_same_mesh_twice_in_a_process_is_refused(two_schemas: str) -> None:
    async with on_host(two_schemas, [Say], schema="flows"):
        with pytest.raises(InvalidConfig, match="give this one name="):
            async with on_host(two_schemas, [Say], schema="flows"):
                pass


async def test_one_that_closes_leaves_the_other_at_work(dsn: str) -> None:
    queues = {QUEUE: 5}
    async with on_host(dsn, [Say], name="one", queues=queues) as stays:
        async with on_host(dsn, [Held], name="two", queue="second", queues={"second": 2}):
            assert (await play(stays, Say)).status == "completed"
        assert (await play(stays, Say)).status == "completed"


async def test_a_mesh_leaves_what_died_and_what_got_lost_to_those_who_have_the_code(
    dsn: str, probe: Probe
) -> None:
    """Two names on one schema, each with its queue: taken over, the run could not go on."""
    mine: dict[str, Any] = {"name": "one", "queue": "first", "queues": {"first": 2}}
    strange: dict[str, Any] = {"name": "two", "queue": "second", "queues": {"second": 2}}
    async with on_host(dsn, [Held], resources=[probe], **mine) as leaving:
        run = await leaving.start_run(Held)
        await probe.begun.wait()
    await every(dsn, SOMEBODY_LIVES)
    async with on_host(dsn, [Held], **mine | {"queues": {}}) as starting:
        lost = await starting.start_run(Held)
    await every(dsn, "delete from oban_jobs")
    await advance(dsn, timedelta(minutes=1))
    probe.gate.set()

    async with on_host(dsn, [Say], **strange) as stranger:
        before = await every(dsn, "select s::text from squid_mesh.steps s order by 1")
        for _ in range(3):
            await stranger._process._recovery._tick()
        assert await every(dsn, "select s::text from squid_mesh.steps s order by 1") == before
        assert await every(dsn, "select 1 from oban_jobs") == []
        assert (await play(stranger, Say)).status == "completed"
        async with on_host(dsn, [Held], resources=[probe], **mine, **FAST) as heir:
            details = await ended(heir, run.id)
            assert (await ended(heir, lost.id)).status == "completed"
    attempts = [str(attempt.status) for attempt in step_of(details, "work").attempts]
    assert attempts == ["interrupted", "completed"]
    assert details.status == "completed"


async def test_a_job_of_a_mesh_that_is_not_here_is_lost_time_but_no_more(dsn: str) -> None:
    """A queue that a stranger serves too: Oban gives him the job, and he can't do it."""
    async with on_host(dsn, [Say], queues={}) as starting:
        run = await starting.start_run(Say)
    await every(dsn, "update oban_jobs set worker = 'squid_mesh.elsewhere'")
    async with on_host(dsn, [Say], **FAST) as mesh:

        async def has_failed() -> bool:
            return bool(await every(dsn, "select 1 from oban_jobs where state = 'retryable'"))

        await eventually(has_failed)
        await every(dsn, "update squid_mesh.clock set shift = shift + interval '1 minute'")
        assert (await ended(mesh, run.id)).status == "completed"
