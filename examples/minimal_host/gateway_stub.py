"""A payment gateway on loopback, whose answers go by the invoice.

`busy…` is answered with 503 the first time, `unknown…` with 404 for ever, `slow…` the first time
not before it is let go. All others, and the same again, are answered "retry_required".
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock

from examples.loopback import Answer, Request, serving

PATIENCE = 30
"""How many seconds somebody waits for the gateway to be asked."""

_BUSY, _UNKNOWN, _STATUS = Answer(503), Answer(404), Answer(200, b"retry_required")


@dataclass(slots=True)
class GatewayStub:
    """The gateway; `asked` counts requests by invoice."""

    asked: Counter[str] = field(default_factory=Counter[str], init=False)
    _waiting: dict[str, Future[None]] = field(default_factory=dict[str, Future[None]], init=False)
    _let_go: Event = field(default_factory=Event, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Answer for the length of the block; yields the base URL."""
        with serving(self._respond) as url:
            try:
                yield url
            finally:
                self._let_go.set()

    async def is_asked_for(self, invoice_id: str) -> None:
        """Wait until somebody has asked for it; the answer may be yet to come."""
        await asyncio.wait_for(asyncio.wrap_future(self._first(invoice_id)), PATIENCE)

    def let_go(self) -> None:
        """Answer whoever waits."""
        self._let_go.set()

    def _respond(self, request: Request) -> Answer:
        invoice = request.path.rpartition("/")[2]
        first = self._first(invoice)
        with self._lock:
            self.asked[invoice] += 1
            is_first = self.asked[invoice] == 1
        if is_first:
            first.set_result(None)
        return self._answer(invoice, is_first=is_first)

    def _answer(self, invoice: str, *, is_first: bool) -> Answer:
        if invoice.startswith("unknown"):
            return _UNKNOWN
        if is_first and invoice.startswith("busy"):
            return _BUSY
        if is_first and invoice.startswith("slow"):
            self._let_go.wait()
        return _STATUS

    def _first(self, invoice_id: str) -> Future[None]:
        with self._lock:
            return self._waiting.setdefault(invoice_id, Future())
