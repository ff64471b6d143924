"""Plays the web application: serves it on a throw-away Postgres, orders, and sees the run's end.

It speaks to it by HTTP alone, as a customer does: `python -m examples.ordering`.
"""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from squid_mesh import Mesh, embedded

PATIENCE = 60
"""How many seconds an order may take, the server's start included."""

_ROOT = Path(__file__).parents[1]


def main() -> int:
    """Order once; 0 when the order's run has completed, else 1."""
    with embedded.server() as dsn, TemporaryDirectory() as folder:
        status = asyncio.run(order(dsn, Path(folder) / "socket"))
    print(f"The order's run is {status}.")
    return 0 if status == "completed" else 1


async def order(dsn: str, socket: Path) -> str:
    """How the run of an order ended, or how it stands when patience has."""
    async with Mesh.connect(dsn, workflows=[], queues={}, install=True):
        pass  # a deployment has its tables before its servers
    status = "not there"
    async with _served(dsn, socket) as client:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                run = (await _answer(client, "POST", "/orders", json={"number": 1}))["run"]
                print(f"Ordered: run {run}.")
                while status != "completed":
                    status = (await _answer(client, "GET", f"/runs/{run}"))["status"]
                    await asyncio.sleep(0.1)
    return status


@asynccontextmanager
async def _served(dsn: str, socket: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """The application behind uvicorn on a socket, and a client of it."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "examples.web.application:app"),
        *("--uds", str(socket), "--log-level", "warning"),
        cwd=_ROOT,
        env=os.environ | {"DATABASE_URL": dsn},
    )
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://web") as client:
            yield client
    finally:
        await _end(server)


async def _end(server: Process) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself
        server.terminate()
    await server.wait()


async def _answer(client: httpx.AsyncClient, method: str, path: str, **sent: Any) -> dict[str, str]:
    """What the application answers, as soon as it is up."""
    while True:
        with suppress(httpx.TransportError):
            answer = await client.request(method, path, **sent)
            answered: dict[str, str] = answer.raise_for_status().json()
            return answered
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
