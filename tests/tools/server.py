"""An HTTP server on loopback that answers what a test writes, byte by byte if need be."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

type Answer = AsyncIterator[bytes]
"""What is written to the connection, and when."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Server:
    """Routes by path; `received` is what came in, oldest first."""

    url: str
    routes: dict[str, Callable[[], Answer]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has hung up in the middle of an answer."""

    def answers(self, path: str, status: int = 200, body: bytes = b"", /, **headers: str) -> None:
        """Let a path answer this, whole. Header names have _ for -."""
        self.says(path, head(status, body, **headers) + body)

    def says(self, path: str, *parts: bytes) -> None:
        """Let a path write these bytes."""

        async def answer() -> Answer:
            for part in parts:
                yield part

        self.routes[path] = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        try:
            received = await _read(reader)
            self.received.append(received)
            route = self.routes.get(received.target.partition("?")[0])
            async for part in route() if route else _nothing():
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)  # the client is in the same loop
        except ConnectionError:
            self.closed.set()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def head(status: int, body: bytes | None = None, /, **headers: str) -> bytes:
    """The beginning of an answer; without a body its end is the connection's."""
    lines = [f"HTTP/1.1 {status} Because", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin1")


@asynccontextmanager
async def serving(host: str = "127.0.0.1") -> AsyncGenerator[Server]:
    """A server for the length of the block, and no connection of it afterwards."""
    served = Server("")
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(served.serve(reader, writer)))

    listening = await asyncio.start_server(connected, host, 0)
    port = listening.sockets[0].getsockname()[1]
    served.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    try:
        yield served
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Received:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
    method, target, _ = first.split(" ")
    values = dict(line.split(": ", 1) for line in lines if line)
    headers = {name.lower(): value for name, value in values.items()}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, target, headers, body)


async def _nothing() -> Answer:
    yield head(404, b"")
