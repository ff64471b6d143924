"""Who serves the queues of a mesh: said in the log when nobody does, and readable by others."""

import logging
from collections.abc import Generator
from datetime import timedelta

import pytest
from psycopg import AsyncConnection

from squid_mesh import Mesh, NoPayload, Workflow, complete, step
from squid_mesh.runtime import lookout
from squid_mesh.store.connections import connect
from squid_mesh.store.producers import find_producers
from squid_mesh.store.statements import Statements
from tests.clock import every
from tests.meshes import QUEUE, SHORT, eventually, oban_on, on_host, own_pool, play


async def fine() -> str:
    return "fine"


class Plain(Workflow[NoPayload]):
    first = step(fine).takes()
    flow = first >> complete


class Mailing(Workflow[NoPayload]):
    first = step(fine).takes()
    mail = step(fine, queue="mail").takes()
    flow = first >> mail >> complete


WORKFLOWS = [Plain, Mailing]


@pytest.fixture(autouse=True)
def hear(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    with caplog.at_level(logging.WARNING, lookout.__name__):
        yield


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == lookout.__name__]


async def says(caplog: pytest.LogCaptureFixture, count: int) -> None:
    """Wait until so much was said."""

    async def is_said() -> bool:
        return len(said(caplog)) >= count

    await eventually(is_said)


async def test_that_nobody_serves_a_queue_is_said_once_a_while(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with on_host(dsn, WORKFLOWS, queues={}) as mesh:
        for _ in range(20):
            await mesh.start_run(Plain)
        await says(caplog, 1)
        await mesh.start_runs(Plain, [{}] * 20)
        for _ in range(20):
            await mesh.start_run(Plain)
        (line,) = said(caplog)
    assert line.startswith("runs of Plain are started, and wait: no running Oban serves queue 'squ")


async def test_it_is_said_again_as_long_as_it_is_so(
    dsn: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "LOOK_SECONDS", 0.05)
    async with on_host(dsn, WORKFLOWS, queues={}) as mesh:
        await mesh.start_run(Plain)
        await says(caplog, 1)
        await mesh.start_run(Plain)
        await says(caplog, 2)


async def test_also_of_a_start_in_a_host_s_transaction(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with on_host(dsn, WORKFLOWS, queues={}) as mesh:
        async with await AsyncConnection.connect(dsn) as host:
            await mesh.start_run(Plain, conn=host)
        await says(caplog, 1)


async def test_of_a_later_step_s_queue(
    dsn: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs of the other workflow go on."""
    monkeypatch.setattr(lookout, "LOOK_SECONDS", 0.05)
    async with on_host(dsn, WORKFLOWS) as mesh:
        assert (await play(mesh, Plain)).status == "completed"
        assert said(caplog) == []
        await mesh.start_run(Mailing)
        await says(caplog, 1)
        (line,) = said(caplog)
    assert line.startswith("runs of Mailing are started")
    assert "serves queue 'mail'" in line


async def test_a_queue_that_is_paused(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    async with own_pool(dsn) as pool, oban_on(pool) as oban:
        await oban.pause_queue(QUEUE)
        async with Mesh(pool, oban=oban, workflows=WORKFLOWS, grace=SHORT) as mesh:
            await mesh.start_run(Plain)
            await says(caplog, 1)
    assert "is paused wherever it is served" in said(caplog)[0]


async def test_a_run_that_is_served_says_nothing(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with on_host(dsn, WORKFLOWS, queues={QUEUE: 3, "mail": 3}) as mesh:
        for workflow in WORKFLOWS:
            assert (await play(mesh, workflow)).status == "completed"
        await mesh._process.lookout._look()
    assert said(caplog) == []


async def test_producers_are_read(dsn: str) -> None:
    async with own_pool(dsn) as pool, oban_on(pool, {QUEUE: 3, "mail": 4}) as oban:
        await oban.pause_queue("mail")
        async with await connect(dsn) as connection:
            found = await find_producers(connection, Statements(), [QUEUE, "mail", "none"])
            assert [(p.queue, p.paused, p.limit) for p in found] == [
                ("mail", True, 4),
                (QUEUE, False, 3),
            ]
            info = oban.check_queue(QUEUE)
            assert info is not None
            assert found[1].node == info.node
            assert found[1].seen_at.utcoffset() is not None
            await every(dsn, "update oban_producers set updated_at = updated_at - %s", OLD)
            assert await find_producers(connection, Statements(), [QUEUE]) == []


OLD = timedelta(seconds=61)
