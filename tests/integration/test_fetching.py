"""A mesh that ends lets its Oban fetch no more, for its own queues and no others."""

import asyncio
from functools import partial
from typing import Any

from oban import Oban

from squid_mesh import Mesh, NoPayload, Workflow, complete, resource, step
from squid_mesh.dispatch.oban import is_full, keep_only, queues_of
from squid_mesh.runtime.intake import PutBack
from squid_mesh.runtime.jobs import Job
from tests.clock import every, one
from tests.meshes import QUEUE, SHORT, Probe, ended, eventually, oban_on, own_pool, play


async def fine() -> str:
    return "fine"


async def hold(probe: Probe) -> None:
    await probe.hold("held")


class Quick(Workflow[NoPayload]):
    here = step(fine).takes()
    there = step(fine, queue="other").takes()
    flow = here >> there >> complete


class Slow(Workflow[NoPayload]):
    work = step(hold).takes(resource(Probe))
    last = step(fine).takes()
    flow = work >> last >> complete


QUEUES = {QUEUE: 5, "other": 5, "host": 5}


def paused(oban: Oban) -> set[str]:
    """The queues that an Oban doesn't fetch from."""
    return {info.queue for info in oban.check_all_queues() if info.paused}


def mesh_on(pool: Any, oban: Oban, **options: Any) -> Mesh:
    return Mesh(pool, oban=oban, workflows=[Quick], grace=SHORT, **options)


async def test_its_queues_are_paused_and_the_host_s_are_not(dsn: str) -> None:
    async with own_pool(dsn) as pool, oban_on(pool, QUEUES) as oban:
        async with mesh_on(pool, oban):
            assert paused(oban) == set()
        assert paused(oban) == {QUEUE, "other"}
        noted = await every(
            dsn, "select queue from oban_producers where (meta ->> 'paused')::bool order by queue"
        )
        assert noted == [("other",), (QUEUE,)]


async def test_another_mesh_on_the_same_oban_has_them_fetched_again(dsn: str) -> None:
    async with own_pool(dsn) as pool, oban_on(pool, QUEUES) as oban:
        for name in ("one", "other", "one"):
            async with mesh_on(pool, oban, name=name) as mesh:
                assert (await play(mesh, Quick)).status == "completed"


async def test_a_queue_that_another_mesh_of_this_process_uses_goes_on(dsn: str) -> None:
    async with (
        own_pool(dsn) as pool,
        oban_on(pool, QUEUES) as oban,
        mesh_on(pool, oban, name="staying") as staying,
    ):
        async with mesh_on(pool, oban, name="leaving", queue="host"):
            assert paused(oban) == set()
        assert paused(oban) == {"host"}
        assert (await play(staying, Quick)).status == "completed"


async def test_what_somebody_else_paused_is_his_to_resume(dsn: str) -> None:
    async with own_pool(dsn) as pool, oban_on(pool, QUEUES) as oban:
        await oban.pause_queue("other")
        async with mesh_on(pool, oban):
            assert paused(oban) == {"other"}
        async with mesh_on(pool, oban) as mesh:
            assert paused(oban) == {"other"}
            run = await mesh.start_run(Quick)
            await oban.resume_queue("other")
            assert (await ended(mesh, run.id)).status == "completed"


async def test_it_ends_in_time_though_the_database_cannot_be_told(dsn: str) -> None:
    """The host's pool is used up: the queue is paused here, and that has to do."""
    async with own_pool(dsn) as pool, oban_on(pool) as oban:
        mesh = mesh_on(pool, oban)
        await mesh.start()
        held = [await pool.getconn() for _ in range(pool.max_size)]
        async with asyncio.timeout(5):
            await mesh.stop()
        assert paused(oban) == {QUEUE}
        for connection in held:
            await pool.putconn(connection)


async def test_a_job_that_was_on_its_way_is_available_to_others_at_once(
    dsn: str, probe: Probe
) -> None:
    """And only once: if it comes back here after all, it waits."""
    async with own_pool(dsn) as pool, oban_on(pool, {}) as oban:
        mesh = Mesh(pool, oban=oban, workflows=[Slow], resources=[probe], grace=SHORT)
        async with mesh:
            run = await mesh.start_run(Slow)
            fetch = (
                "update oban_jobs set state = 'executing', attempt = attempt + 1,"
                " attempted_at = timezone('UTC', now()) returning id"
            )
            job = Job(run_id=run.id, step="work", queue=QUEUE, id=(await one(dsn, fetch))[0])
            driver = mesh._process.driver
            mesh._process.close()
            assert await driver.drive(job) == PutBack(1.0)
            state = "select state::text, attempt from oban_jobs"
            assert await one(dsn, state) == ("available", 0)
            await one(dsn, fetch)
            assert await driver.drive(job) == PutBack(1.0)
            assert await one(dsn, state) == ("executing", 1)
    assert probe.calls == []


async def test_bodies_under_way_are_acknowledged_though_the_queue_is_paused(
    dsn: str, probe: Probe
) -> None:
    async with own_pool(dsn) as pool, oban_on(pool) as oban:
        mesh = Mesh(pool, oban=oban, workflows=[Slow], resources=[probe])
        await mesh.start()
        await mesh.start_run(Slow)
        await probe.has_begun(1)
        stopping = asyncio.create_task(mesh.stop())

        async def is_paused() -> bool:
            return paused(oban) == {QUEUE}

        await eventually(is_paused)
        probe.gate.set()
        await stopping

        async def is_handed_over() -> bool:
            rows = await every(
                dsn, "select state::text, args ->> 'step' from oban_jobs order by id"
            )
            return rows == [("completed", "work"), ("available", "last")]

        await eventually(is_handed_over)


async def test_a_queue_is_full_when_all_its_places_are_taken(dsn: str, probe: Probe) -> None:
    """And not when they are to be left: it is paused, or was made smaller."""
    async with own_pool(dsn) as pool, oban_on(pool, {QUEUE: 2}) as oban:
        mesh = Mesh(pool, oban=oban, workflows=[Slow], resources=[probe])
        async with mesh:
            found = [is_full(oban, "nowhere"), is_full(oban, QUEUE)]
            for _ in range(2):
                await mesh.start_run(Slow)
            await probe.has_begun(2)
            found.append(is_full(oban, QUEUE))
            await oban.pause_queue(QUEUE)
            found.append(is_full(oban, QUEUE))
            await oban.resume_queue(QUEUE)
            await eventually(partial(is_resumed, oban))
            found.append(is_full(oban, QUEUE))
            await oban.scale_queue(queue=QUEUE, limit=1)
            await eventually(partial(has_places, oban, 1))
            found.append(is_full(oban, QUEUE))
            probe.gate.set()
    assert found == [False, False, True, False, True, False]


async def is_resumed(oban: Oban) -> bool:
    return not paused(oban)


async def has_places(oban: Oban, places: int) -> bool:
    info = oban.check_queue(QUEUE)
    return info is not None and info.limit == places


async def test_a_queue_that_is_kept_keeps_what_else_was_said_of_it(dsn: str) -> None:
    async with own_pool(dsn) as pool:
        options: dict[str, Any] = {QUEUE: {"limit": 5, "debounce_interval": 0.002}, "other": 5}
        oban = Oban(pool=pool, name="narrowed", queues=options)
        keep_only(oban, {QUEUE: 2, "new": 3})
        assert queues_of(oban) == {QUEUE: 2}
        assert oban._producers[QUEUE]._debounce_interval == 0.002
        async with oban:
            info = oban.check_queue(QUEUE)
            assert info is not None
            assert (info.limit, info.meta) == (2, {})
