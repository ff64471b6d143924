"""Says in the log that runs are started whose steps nobody will run: no Oban serves their queue."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection

from squid_mesh.runtime.catalog import Catalog
from squid_mesh.runtime.loops import Loop
from squid_mesh.store.producers import Producer
from squid_mesh.store.trouble import Trouble

logger = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""How often it looks, and says so, at most."""

UNKNOWN_SECONDS = 20.0
"""How long after trouble it isn't known who serves what: Oban's own table of that is unlogged, so a
server that crashes empties it, and each Oban has to enter itself again."""

type FindProducers = Callable[[Collection[str]], Awaitable[list[Producer]]]


class Lookout:
    """Looks after the workflows that this process has started runs of since it last did."""

    def __init__(
        self, catalog: Catalog, queue: str, find_producers: FindProducers, trouble: Trouble
    ) -> None:
        self._catalog = catalog
        self._queue = queue
        self._find_producers = find_producers
        self._started: set[str] = set()
        self._next = 0.0
        self._trouble = trouble
        self._loop = Loop("lookout", self._look, LOOK_SECONDS, trouble)

    def start(self) -> None:
        """Begin to look."""
        self._loop.start()

    async def stop(self) -> None:
        """End."""
        await self._loop.stop()

    def started(self, workflow: str) -> None:
        """Runs of a workflow were started."""
        self._started.add(workflow)
        if time.monotonic() >= self._next:
            self._loop.wake()

    async def _look(self) -> None:
        if not self._started or self._trouble.was_within(UNKNOWN_SECONDS):
            return
        self._next = time.monotonic() + LOOK_SECONDS
        workflows, self._started = sorted(self._started), set()
        queues = self._catalog.queues(self._queue, workflows)
        producers = await self._find_producers(queues)
        for queue in sorted(queues):
            serving = [producer for producer in producers if producer.queue == queue]
            self._tell(queue, serving, workflows)

    def _tell(self, queue: str, serving: list[Producer], workflows: list[str]) -> None:
        if any(not producer.paused for producer in serving):
            return
        which = [w for w in workflows if queue in self._catalog.queues(self._queue, [w])]
        trouble = (
            f"queue {queue!r} is paused wherever it is served: resume it"
            if serving
            else f"no running Oban serves queue {queue!r}: start one with queues={{{queue!r}: 10}}"
        )
        logger.warning("runs of %s are started, and wait: %s", ", ".join(which), trouble)
