"""Says that this process lives, from a thread of its own: a blocked loop doesn't look dead."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg

from squid_mesh.runtime.lease import Lease
from squid_mesh.store.connections import SESSION, lively
from squid_mesh.store.statements import Statements
from squid_mesh.store.trouble import Trouble

_PART = "heartbeat"


class Heartbeat:
    """Renews a boot's lease every `interval` seconds, with how long ago the event loop answered."""

    def __init__(
        self,
        dsn: str,
        statements: Statements,
        boot: Mapping[str, Any],
        interval: float,
        lease: Lease,
        trouble: Trouble,
    ) -> None:
        self._dsn = dsn
        self._statement: LiteralString = statements["heartbeat"]
        self._boot = boot
        self._interval = interval
        self._stopped = threading.Event()
        self._lease = lease
        self._trouble = trouble
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="squid-mesh-heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    async def stop(self) -> None:
        """End; the thread is gone when this returns."""
        self._stopped.set()
        await asyncio.to_thread(self._thread.join, 5.0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with psycopg.connect(
                    lively(self._dsn), autocommit=True, application_name="squid_mesh heartbeat"
                ) as connection:
                    connection.execute(SESSION, prepare=False)
                    self._beat_on(connection)
            except Exception as error:  # noqa: BLE001 (told; without it this process looks dead)
                self._trouble.met(_PART, error)
                self._stopped.wait(min(self._interval, 1.0))

    def _beat_on(self, connection: psycopg.Connection[Any]) -> None:
        while not self._stopped.is_set():
            self._ask_loop()
            asked = self._lease.now()
            connection.execute(self._statement, {**self._boot, "loop_age": self._lease.loop_age})
            self._lease.renewed(asked)
            self._trouble.over(_PART)
            self._stopped.wait(self._interval)

    def _ask_loop(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._lease.answered)
        except RuntimeError:  # the loop is closed: the process is on its way out
            self._stopped.set()
