"""A mesh's own life: what it needs, how it is installed, opened and closed."""

import asyncio
import logging
import time
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest
from oban import Oban
from oban.schema import install_sql
from psycopg import AsyncConnection

from squid_mesh import (
    InvalidConfig,
    Mesh,
    NoPayload,
    NotInstalled,
    SquidMeshError,
    Workflow,
    resource,
    step,
)
from squid_mesh.runtime import settings
from squid_mesh.store import migrations
from squid_mesh.store.statements import Statements
from tests.clock import every, one
from tests.conformance import conforms
from tests.database import Databases, execute
from tests.meshes import (
    QUEUE,
    SHORT,
    Probe,
    Workflows,
    ended,
    eventually,
    oban_on,
    on_host,
    own_pool,
    play,
)


async def say() -> str:
    return "said"


def say_in_thread() -> str:
    return "said"


async def hold(probe: Probe) -> None:
    await probe.hold("held")


class Say(Workflow[NoPayload]):
    work = step(say).takes()


class SayInThread(Workflow[NoPayload]):
    work = step(say_in_thread).takes()


class Another(Workflow[NoPayload]):
    work = step(say).takes()


class Namesake(Workflow[NoPayload], name="Say"):
    work = step(say_in_thread).takes()


class Held(Workflow[NoPayload]):
    work = step(hold).takes(resource(Probe))


WORKFLOWS: Workflows = [Say, SayInThread, Held]


@pytest.fixture
def empty(databases: Databases) -> Generator[str]:
    """A database without any schema of ours or of Oban's."""
    with databases.fresh() as dsn:
        execute(dsn, b"drop schema squid_mesh cascade; drop schema public cascade")
        execute(dsn, b"create schema public")
        yield dsn


def connected(dsn: str, **options: Any) -> Mesh:
    """A mesh on its own pool and Oban."""
    short = {"grace": timedelta(seconds=0.2), "queues": {QUEUE: 5}, "workflows": WORKFLOWS}
    return Mesh.connect(dsn, **{**short, **options})


async def is_left_alone(dsn: str) -> bool:
    """Whether nobody is connected to a database: a closed connection lingers for a moment."""
    others = "select 1 from pg_stat_activity where datname = current_database()"
    return await every(dsn, f"{others} and pid <> pg_backend_pid()") == []


# -- installing


async def test_a_mesh_of_its_own_installs_what_is_missing(empty: str) -> None:
    async with connected(empty, install=True) as mesh:
        assert (await play(mesh, Say)).context == {"work": "said"}


@conforms("S200")
async def test_installing_again_changes_nothing(empty: str) -> None:
    for _ in range(2):
        async with connected(empty, install=True) as mesh:
            await play(mesh, Say)
    assert await one(empty, "select count(*) from squid_mesh.runs") == (2,)
    assert await one(empty, "select count(*) from squid_mesh.migrations") == (
        len(migrations.available()),
    )


async def test_many_may_install_at_once(empty: str) -> None:
    async def install(name: str) -> None:
        async with connected(empty, install=True, name=name) as mesh:
            await mesh.start_run(Say)

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(install(f"mesh_{number}"))
    assert await one(empty, "select count(*) from squid_mesh.runs") == (5,)


@conforms("S200")
async def test_migrating_twice_applies_nothing_the_second_time(empty: str) -> None:
    async with await AsyncConnection.connect(empty) as connection:
        first = await migrations.migrate(connection, Statements())
        again = await migrations.migrate(connection, Statements())
    assert first == list(migrations.available().values())
    assert again == []


@conforms("S200")
async def test_two_connections_may_migrate_at_once(empty: str) -> None:
    async def migrate() -> list[str]:
        async with await AsyncConnection.connect(empty) as connection:
            return await migrations.migrate(connection, Statements())

    applied = await asyncio.gather(*(migrate() for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrations.available())]


async def test_a_mesh_may_keep_its_tables_in_another_schema(empty: str) -> None:
    async with connected(empty, install=True, schema="flows") as mesh:
        assert (await play(mesh, Say)).status == "completed"
    assert await one(empty, "select count(*) from flows.runs") == (1,)
    assert await every(empty, "select 1 where to_regnamespace('squid_mesh') is not null") == []


async def test_oban_may_keep_its_tables_in_another_schema(empty: str) -> None:
    execute(empty, b"create schema jobs")
    execute(empty, install_sql("jobs").encode())
    async with own_pool(empty) as pool:
        oban = Oban(pool=pool, name="prefixed", prefix="jobs", queues={QUEUE: 2})
        mesh = Mesh(pool, oban=oban, workflows=WORKFLOWS, grace=timedelta(seconds=0.2))
        await mesh.migrate()
        async with oban, mesh:
            assert (await play(mesh, Say)).status == "completed"
    assert await one(empty, "select to_regclass('public.oban_jobs') is null") == (True,)


# -- what is missing


async def test_oban_s_missing_tables_are_told_with_what_to_run(empty: str) -> None:
    with pytest.raises(NotInstalled, match=r"oban install.*install=True"):
        await connected(empty).start()


async def test_the_missing_schema_is_told_with_what_to_run(dsn: str) -> None:
    execute(dsn, b"drop schema squid_mesh cascade")
    with pytest.raises(NotInstalled, match=r"'squid_mesh' is not installed.*mesh\.migrate\(\)"):
        await connected(dsn).start()


async def test_an_older_schema_is_told_with_what_to_run(dsn: str) -> None:
    execute(dsn, b"delete from squid_mesh.migrations")
    with pytest.raises(NotInstalled, match=r"lacks migrations \[1.*mesh\.migrate\(\)"):
        await connected(dsn).start()


async def test_a_newer_schema_is_no_obstacle(dsn: str) -> None:
    execute(dsn, b"insert into squid_mesh.migrations (version, name) values (9999, 'later')")
    async with connected(dsn) as mesh:
        assert (await play(mesh, Say)).status == "completed"


async def test_a_mesh_that_could_not_open_leaves_nothing_open(dsn: str) -> None:
    execute(dsn, b"drop schema squid_mesh cascade")
    with pytest.raises(NotInstalled):
        await connected(dsn).start()
    await eventually(lambda: is_left_alone(dsn))


# -- settings


WRONG: dict[str, dict[str, Any]] = {
    "name": {"name": "my mesh"},
    "schema": {"schema": 'my"schema'},
    "queue": {"queue": " "},
    "lease": {"lease": timedelta(seconds=3)},
    "grace": {"grace": timedelta(seconds=-1)},
    "blocked": {"blocked": timedelta(seconds=7)},
    "overdue": {"overdue": timedelta(0)},
    "handover": {"handover": timedelta(0)},
    "max_interruptions": {"max_interruptions": 0},
    "workflows": {"workflows": [Say, Namesake]},
    "resources": {"resources": [Probe.__new__(Probe), Probe.__new__(Probe)]},
}


@conforms("S191", "S193")
@pytest.mark.parametrize("setting", WRONG)
async def test_a_wrong_setting_is_told(dsn: str, setting: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        connected(dsn, **WRONG[setting])
    assert len(caught.value.problems) == 1


@conforms("S191", "S193")
async def test_all_wrong_settings_are_told_at_once(dsn: str) -> None:
    wrong = {name: value for setting in WRONG.values() for name, value in setting.items()}
    with pytest.raises(InvalidConfig) as caught:
        connected(dsn, **wrong)
    told = str(caught.value)
    words = {"name": "my mesh", "schema": 'my"schema', "workflows": "Say", "resources": "Probe"}
    assert [name for name in WRONG if words.get(name, name) not in told] == []


async def test_queues_of_which_none_is_of_any_step_are_refused(dsn: str) -> None:
    with pytest.raises(InvalidConfig, match=r"'typo'.*theirs are 'squid_mesh'"):
        Mesh.connect(dsn, workflows=[Say], queues={"typo": 5})
    Mesh.connect(dsn, workflows=[Say], queues={})  # a process that only starts runs


async def test_a_queue_of_no_step_beside_others_is_logged(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be of steps that only earlier definitions have."""
    with caplog.at_level(logging.WARNING, settings.__name__):
        Mesh.connect(dsn, workflows=[Say], queues={"squid_mesh": 5})
        assert caplog.records == []
        Mesh.connect(dsn, workflows=[Say], queues={"squid_mesh": 5, "former": 5})
    assert ["'former'" in record.getMessage() for record in caplog.records] == [True]


@conforms("S192")
async def test_an_option_that_there_is_not_is_told(dsn: str) -> None:
    with pytest.raises(TypeError, match="heartbeats"):
        connected(dsn, heartbeats=timedelta(seconds=1))


# -- life


@conforms("S190")
async def test_a_mesh_works_on_a_host_s_own_pool_and_oban(dsn: str) -> None:
    async with on_host(dsn, WORKFLOWS) as mesh:
        assert (await play(mesh, Say)).status == "completed"
        assert (await play(mesh, SayInThread)).status == "completed"


async def test_two_meshes_share_a_database(dsn: str) -> None:
    one_mesh = on_host(dsn, [Say], name="one", queue="first", queues={"first": 2})
    two = on_host(dsn, [Another], name="two", queue="second", queues={"second": 2})
    async with one_mesh as first, two as second:
        runs = await asyncio.gather(
            *(play(first, Say) for _ in range(5)), *(play(second, Another) for _ in range(5))
        )
        assert {run.status for run in runs} == {"completed"}
        assert len((await first.list_runs()).runs) == 10
    assert set(await every(dsn, "select distinct queue, worker from oban_jobs")) <= {
        ("first", "squid_mesh.one"),
        ("second", "squid_mesh.two"),
    }


async def test_two_meshes_share_an_oban(dsn: str) -> None:
    async with own_pool(dsn) as pool:
        oban = oban_on(pool)
        first = Mesh(pool, oban=oban, workflows=[Say], name="one")
        second = Mesh(pool, oban=oban, workflows=[Another], name="two")
        async with oban, first, second:
            assert (await play(first, Say)).status == "completed"
            assert (await play(second, Another)).status == "completed"


async def test_two_meshes_of_one_name_are_refused_in_one_process(dsn: str) -> None:
    async with on_host(dsn, WORKFLOWS) as first:
        with pytest.raises(InvalidConfig, match="give this one name="):
            async with on_host(dsn, WORKFLOWS):
                pass
        assert (await play(first, Say)).status == "completed"
    boots = await every(dsn, "select 1 from squid_mesh.workers")
    assert boots == []


async def test_a_closed_mesh_leaves_nothing_open(dsn: str) -> None:
    async with connected(dsn) as mesh:
        await play(mesh, Say)
    await eventually(lambda: is_left_alone(dsn))
    assert await every(dsn, "select 1 from squid_mesh.workers") == []


async def test_a_closed_mesh_can_be_opened_again(dsn: str) -> None:
    """On a host's pool and Oban: as a web application's lifespan does in its tests."""
    async with own_pool(dsn) as pool:
        mesh = Mesh(pool, oban=oban_on(pool, {}), workflows=WORKFLOWS, grace=SHORT)
        for _ in range(2):
            async with oban_on(pool), mesh:
                for workflow in (Say, SayInThread):
                    run = await mesh.start_run(workflow)
                    ended = await mesh.wait_for_run(run.id, timeout=timedelta(seconds=3))
                    assert ended.status == "completed"


@conforms("S194")
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_mesh_that_is_not_open_starts_nothing_and_says_so(dsn: str, when: str) -> None:
    async with own_pool(dsn) as pool:
        mesh = Mesh(pool, oban=oban_on(pool, {}), workflows=WORKFLOWS)
        if when == "after":
            await mesh.start()
            await mesh.stop()
        async with asyncio.timeout(5):
            with pytest.raises(SquidMeshError):
                await mesh.start_run(Say)
    assert await every(dsn, "select 1 from squid_mesh.runs") == []


async def test_closing_lets_bodies_end_within_the_grace(dsn: str, probe: Probe) -> None:
    async with connected(dsn, grace=timedelta(seconds=10), resources=[probe]) as mesh:
        run = await mesh.start_run(Held)
        await probe.begun.wait()
        closing = asyncio.create_task(mesh.stop())
        probe.gate.set()
        await closing
    assert await one(dsn, "select status from squid_mesh.runs where id = %s", run.id) == (
        "completed",
    )


async def test_closing_takes_no_longer_than_the_grace(dsn: str, probe: Probe) -> None:
    grace = timedelta(seconds=0.5)
    async with connected(dsn, grace=grace, resources=[probe]) as mesh:
        await mesh.start_run(Held)
        await probe.begun.wait()
        closing = time.monotonic()
    assert time.monotonic() - closing < grace.total_seconds() + 0.4


_CUT = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name like 'squid_mesh%%'
"""


async def test_lost_connections_are_made_again(dsn: str) -> None:
    """All of the mesh's own at once, as when Postgres restarts or fails over."""
    async with on_host(dsn, WORKFLOWS, heartbeat=timedelta(seconds=0.1)) as mesh:
        for _ in range(3):
            await play(mesh, Say)
            await every(dsn, _CUT)
            runs = [await mesh.start_run(Say) for _ in range(10)]
            assert {(await ended(mesh, run.id)).status for run in runs} == {"completed"}
    assert await one(dsn, "select count(*) from squid_mesh.attempts") == (0,)


async def test_a_mesh_whose_connections_were_cut_says_good_bye(dsn: str) -> None:
    """What it held is free at once, and not when its lease is over."""
    async with on_host(dsn, WORKFLOWS) as mesh:
        await play(mesh, Say)
        assert await one(dsn, "select count(*) from squid_mesh.workers") == (1,)
        await every(dsn, _CUT)
    assert await one(dsn, "select count(*) from squid_mesh.workers") == (0,)


async def test_each_connection_says_whose_it_is(dsn: str) -> None:
    whose = {f"squid_mesh{what}" for what in ("", " committer", " heartbeat", " starter")}

    async def are_there() -> bool:
        rows = await every(dsn, "select application_name from pg_stat_activity")
        return {name for (name,) in rows if name.startswith("squid_mesh")} == whose

    async with on_host(dsn, WORKFLOWS):
        await eventually(are_there)  # threads and listeners connect when they come to it
