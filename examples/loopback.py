"""An HTTP server on loopback whose behaviour is one function from request to answer.

It serves each connection in a thread, answers one request on it, and leaves no thread or socket
behind when it stops, whoever is still waiting.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, override
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """What came in."""

    path: str
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out; its length needs no header of its own."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


type Respond = Callable[[Request], Answer | None]
"""What a server does: None never answers, and keeps the caller waiting until the server stops."""


@contextmanager
def serving(respond: Respond) -> Iterator[str]:
    """Serve `respond` on a port of its own, for the length of the block; yields the base URL."""
    stopping = Event()
    handler = partial(_Handler, _Behaviour(respond, stopping))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = False  # so that closing the server waits for them
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            stopping.set()
            server.shutdown()
            thread.join()


@dataclass(frozen=True, slots=True)
class _Behaviour:
    respond: Respond
    stopping: Event


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5  # for a connection on which no request comes

    def __init__(self, behaviour: _Behaviour, *connection: Any) -> None:
        self.behaviour = behaviour
        super().__init__(*connection)  # which handles the request, there and then

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the demo shows what was posted."""

    def _respond(self) -> None:
        self.close_connection = True
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.behaviour.respond(Request(url.path, dict(parse_qsl(url.query)), body))
        if answer is None:
            self.behaviour.stopping.wait()
            return
        with suppress(ConnectionError):  # the caller has gone
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)
