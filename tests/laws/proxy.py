"""A proxy in front of Postgres that loses answers: the query goes through, its answer doesn't.

It reads the protocol only as far as it must: who connects, which statement is executed, and when
the server has answered it, which is after the commit.
"""

import asyncio
import struct
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from tests.laws.worlds import STATEMENTS
from tests.meshes import BOUND

_PARSE, _BIND, _QUERY, _READY = b"P", b"B", b"Q", b"Z"


@dataclass(eq=False)
class _Link:
    """One connection, both its ends."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    names: dict[bytes, str] = field(default_factory=dict)
    """Which of our statements each prepared statement is, by its first line."""
    executed: str = ""
    """The last of our statements that went through."""
    losing: bool = False

    def cut(self) -> None:
        self.client.close()
        self.server.close()


class Proxy:
    """Passes everything on, until a test has it lose something."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lines = {_first_line(name): name for name in _STATEMENTS}
        self._wanted: dict[str, bool] = {}
        self._lost: dict[str, asyncio.Event] = {}
        self._leaves_open = False
        self.delay = 0.0
        """Seconds that each answer of the server takes on its way."""
        self.flows = asyncio.Event()
        """Cleared, nothing comes through either way, and nobody is told."""
        self.flows.set()
        self.seen: Counter[str] = Counter()
        """How often each of our statements was executed."""
        self._links: set[asyncio.Task[None]] = set()
        self._is_shut = False

    def lose(self, statement: str, *, before: bool = False, leaves_open: bool = False) -> None:
        """Lose the answer to the next such statement, or with `before` the statement itself.

        `commit of …` is the commit of a transaction that ends with a statement. With `leaves_open`
        the server isn't told that its client is gone, as when a network parts.
        """
        self._leaves_open = leaves_open
        self._wanted[statement] = before
        self._lost[statement] = asyncio.Event()

    async def has_lost(self, statement: str) -> None:
        """Wait until that has happened."""
        async with asyncio.timeout(BOUND.total_seconds()):
            await self._lost[statement].wait()

    def is_lost(self, statement: str) -> bool:
        """Whether that has happened."""
        return self._lost[statement].is_set()

    async def shut(self) -> None:
        """Cut every connection, and take no others: the server is gone."""
        self._is_shut = True
        await self.end()

    def open(self) -> None:
        """The server is back."""
        self._is_shut = False

    async def serve(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        if self._is_shut:
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        reader, server = await self._upstream()
        link = _Link(writer, server)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._requests(client, link))
                both.create_task(self._answers(reader, link))
        except* (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            link.cut()
            for end in (writer, server):
                with suppress(ConnectionError):
                    await end.wait_closed()
            self._links.discard(task)

    async def end(self) -> None:
        """Cut every connection."""
        for task in tuple(self._links):
            task.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._host.startswith("/"):
            return await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        return await asyncio.open_connection(self._host, self._port)

    async def _requests(self, client: asyncio.StreamReader, link: _Link) -> None:
        size = await client.readexactly(4)
        link.server.write(size + await client.readexactly(struct.unpack("!i", size)[0] - 4))
        async for kind, body in _messages(client):
            if kind == _PARSE:
                self._learn(link, body)
            elif kind in {_BIND, _QUERY} and self._meets(link, _executed(kind, link, body)):
                if self._leaves_open:
                    await asyncio.Event().wait()  # until everything ends
                return
            await self.flows.wait()
            link.server.write(_message(kind, body))
            await link.server.drain()
        link.cut()

    async def _answers(self, server: asyncio.StreamReader, link: _Link) -> None:
        async for kind, body in _messages(server):
            if self.delay and kind == _READY:
                await asyncio.sleep(self.delay)
            await self.flows.wait()
            if not link.losing:
                link.client.write(_message(kind, body))
                await link.client.drain()
            elif kind == _READY:  # it is committed, and nobody will hear of it
                self._has_lost()
                break
        link.cut()

    def _learn(self, link: _Link, body: bytes) -> None:
        name, query = body.split(b"\0", 2)[:2]
        link.names[name] = self._lines.get(query.split(b"\n", 1)[0].decode(), "")

    def _meets(self, link: _Link, statement: str) -> bool:
        """Whether this execution is one to lose before it gets to the server."""
        link.executed = statement
        self.seen[statement] += 1
        before = self._wanted.pop(statement, None)
        if before is None:
            return False
        self._losing = statement
        link.losing = True
        if before:
            self._has_lost()
            if self._leaves_open:
                link.client.close()
            else:
                link.cut()
        return before

    def _has_lost(self) -> None:
        self._lost[self._losing].set()


def _executed(kind: bytes, link: _Link, body: bytes) -> str:
    """Which statement of ours a message executes, or the commit of which."""
    if kind == _BIND:
        return link.names.get(body.split(b"\0", 2)[1], "")
    return f"commit of {link.executed}" if body == b"COMMIT\0" else ""


_STATEMENTS = (
    "start_runs",
    "claim_steps",
    "take_steps",
    "advance_chain",
    "advance_steps",
    "fail_run",
    "load_outputs",
    "retry_interrupted",
    "requeue_overdue",
    "heartbeat",
    "enter_transaction",
    "find_transaction",
)


def _first_line(statement: str) -> str:
    return STATEMENTS[statement].split("\n", 1)[0]


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, bytes]]:
    while head := await reader.read(1):
        size = await reader.readexactly(4)
        yield head, await reader.readexactly(struct.unpack("!i", size)[0] - 4)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


@asynccontextmanager
async def proxied(dsn: str) -> AsyncGenerator[tuple[Proxy, str]]:
    """A proxy before a database, and the DSN that leads through it."""
    url = urlsplit(dsn)
    host = url.hostname or parse_qs(url.query)["host"][0]
    proxy = Proxy(host, url.port or 5432)
    with tempfile.TemporaryDirectory(prefix="proxy-") as folder:
        socket = Path(folder) / ".s.PGSQL.5432"
        server = await asyncio.start_unix_server(proxy.serve, socket)
        try:
            through = url._replace(netloc="postgres@", query=f"host={quote(folder)}").geturl()
            yield proxy, through
        finally:
            server.close()
            await proxy.end()
            await server.wait_closed()
