"""A mesh in the lifespan of a web application: its servers end and reload, its runs go on."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from examples import web
from tests.clock import every
from tests.laws.worlds import unsound
from tests.meshes import eventually

HERE = Path(web.__file__).parent
ROOT = HERE.parents[1]
UVICORN = ["uvicorn", "web_copy.application:app", "--uds"]
GUNICORN = [
    *("gunicorn", "web_copy.application:app", "--workers", "2", "--graceful-timeout", "20"),
    *("--worker-class", "uvicorn_worker.UvicornWorker", "--bind"),
]


@dataclass
class Server:
    """A web server, and a client that orders from it."""

    process: asyncio.subprocess.Process
    client: httpx.AsyncClient
    ordered: list[str] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    async def is_up(self) -> bool:
        try:
            return (await self.client.get("/nothing")).status_code == 404
        except httpx.TransportError:
            return False

    async def orders(self) -> None:
        """Order, again and again."""
        for number in range(10_000):
            await self.order(number)
            await asyncio.sleep(0.02)

    async def order(self, number: int) -> None:
        """Order something, as a client does that may ask twice: the order's number is a key."""
        for _ in range(3):
            try:
                answer = await self.client.post("/orders", json={"number": number})
            except httpx.TransportError as error:
                self.lost.append(repr(error))
                continue
            assert answer.status_code == 202, answer.text
            self.ordered.append(answer.json()["run"])
            self.pids.append(answer.json()["pid"])
            return
        pytest.fail(f"order {number} was refused three times: {self.lost}")

    async def has_answered_from(self, count: int, but: set[int] | None = None) -> set[int]:
        """Wait until so many processes have taken orders; `but` don't count."""

        async def have() -> bool:
            return len(set(self.pids) - (but or set())) >= count

        await eventually(have)
        return set(self.pids)

    def tell(self, what: signal.Signals) -> None:
        self.process.send_signal(what)


@asynccontextmanager
async def serving(dsn: str, folder: Path, *command: str) -> AsyncGenerator[Server]:
    """A server on a socket in a folder, which holds a copy of the application."""
    socket = folder / "socket"
    shutil.copytree(HERE, folder / "web_copy", ignore=shutil.ignore_patterns("__pycache__"))
    place = str(socket) if command[0] == "uvicorn" else f"unix:{socket}"
    where = command.index("--uds" if command[0] == "uvicorn" else "--bind") + 1
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *command[:where], place, *command[where:]),
            cwd=folder,
            env=os.environ | {"DATABASE_URL": dsn, "PYTHONPATH": f"{folder}:{ROOT}"},
            stderr=log,
            stdout=log,
        )
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://web", timeout=10) as client:
        server = Server(process, client)
        try:
            await eventually(server.is_up)
            yield server
        finally:
            family = [] if process.returncode is not None else _family(process.pid)
            for one in family:
                one.kill()
            await process.wait()


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


async def all_completed(dsn: str, server: Server) -> None:
    """Every order that was taken is done, in one attempt a step."""

    async def are() -> bool:
        return not await every(dsn, "select 1 from squid_mesh.runs where outcome is null limit 1")

    await eventually(are)
    runs = await every(dsn, "select id::text, status from squid_mesh.runs")
    assert {status for _, status in runs} == {"completed"}
    assert set(server.ordered) <= {run for run, _ in runs}
    assert await every(dsn, "select 1 from squid_mesh.attempts") == []
    assert await unsound(dsn) == []


@asynccontextmanager
async def ordering(server: Server) -> AsyncGenerator[None]:
    """Have orders come in meanwhile."""
    task = asyncio.create_task(server.orders())
    try:
        yield
        assert not task.done(), "orders come in all the time"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_uvicorn_ends_and_another_one_goes_on(dsn: str, tmp_path: Path) -> None:
    for attempt in ("first", "second"):
        folder = tmp_path / attempt
        folder.mkdir()
        async with serving(dsn, folder, *UVICORN) as server:
            async with ordering(server):
                await server.has_answered_from(1)
                await asyncio.sleep(0.5)  # amid their steps
            if attempt == "first":
                server.tell(signal.SIGTERM)
                server.tell(signal.SIGTERM)
                assert await asyncio.wait_for(server.process.wait(), 10) == -signal.SIGTERM
                left = "select 1 from squid_mesh.runs where outcome is null limit 1"
                assert await every(dsn, left), "it ended amid runs"
                assert await every(dsn, "select 1 from squid_mesh.workers") == []
            else:
                await all_completed(dsn, server)


async def test_uvicorn_reloads_changed_code(dsn: str, tmp_path: Path) -> None:
    async with serving(dsn, tmp_path, *UVICORN, "--reload", "--reload-delay", "0.1") as server:
        async with ordering_patiently(server):
            before = await server.has_answered_from(1)
            code = tmp_path / "web_copy" / "orders.py"
            code.write_text(code.read_text() + "\n# changed\n")
            os.utime(code, (4e9, 4e9))
            await server.has_answered_from(1, but=before)
        await all_completed(dsn, server)


@asynccontextmanager
async def ordering_patiently(server: Server) -> AsyncGenerator[None]:
    """Have orders come in from somebody who waits while nobody answers."""

    async def order() -> None:
        for number in range(10_000):
            await eventually(server.is_up)
            await server.order(number)

    task = asyncio.create_task(order())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def workers_of(server: Server) -> set[int]:
    """The processes that answer."""
    return {child.pid for child in psutil.Process(server.process.pid).children()}


async def drive(dsn: str, count: int) -> bool:
    """Whether so many processes drive runs."""
    return len(await every(dsn, "select 1 from squid_mesh.workers")) == count


async def test_gunicorn_reloads_under_load(dsn: str, tmp_path: Path) -> None:
    """HUP: new processes begin, the old ones end. No order and no run is lost, and none waits."""
    async with serving(dsn, tmp_path, *GUNICORN) as server:
        async with ordering(server):
            await eventually(lambda: drive(dsn, 2))
            before = workers_of(server)
            server.tell(signal.SIGHUP)

            async def are_others() -> bool:
                return workers_of(server).isdisjoint(before)

            await eventually(are_others)
            await eventually(lambda: drive(dsn, 2))
            await server.has_answered_from(1, but=before)
        await all_completed(dsn, server)
        server.tell(signal.SIGTERM)
        assert await asyncio.wait_for(server.process.wait(), 10) == 0
    waits = """
        select extract(epoch from max(s.started_at - before.finished_at))::float8
        from squid_mesh.steps s join squid_mesh.steps before on before.run_id = s.run_id
        where before.finished_at = (
          select max(finished_at) from squid_mesh.steps b
          where b.run_id = s.run_id and b.finished_at <= s.started_at)
    """
    ((longest,),) = await every(dsn, waits)
    assert longest < 5.0, "no run has waited for a lease"
