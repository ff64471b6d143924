"""Which queues this process fetches jobs from: a mesh that ends lets its Oban fetch no more.

Oban fetches for as long as it runs. A process that ends would take jobs only to put them back, and
what others could do at once would wait for seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import psycopg

from squid_mesh.dispatch.oban import Oban

logger = logging.getLogger(__name__)

TELLING_SECONDS = 1.0
"""How long Oban may take to note in the database what has taken effect in this process."""


@dataclass(slots=True)
class _Use:
    """How many meshes of this process use each queue of an Oban, and which of them we paused."""

    meshes: Counter[str] = field(default_factory=Counter[str])
    paused: set[str] = field(default_factory=set[str])


_uses: WeakKeyDictionary[Oban, _Use] = WeakKeyDictionary()


class Fetching:
    """The queues of one mesh on its Oban, on this node only.

    A queue that another mesh of this process uses goes on, and so does what isn't the mesh's. A
    host's Oban may outlive the mesh: its queue stays paused until another mesh comes, unless
    somebody resumes it. What somebody else has paused is his to resume.
    """

    def __init__(self, oban: Oban, queues: Iterable[str]) -> None:
        self._oban = oban
        self._queues = sorted(queues)

    async def begin(self) -> None:
        """Fetch, also from what was paused when an earlier mesh ended."""
        use = _uses.setdefault(self._oban, _Use())
        use.meshes.update(self._queues)
        for queue in use.paused.intersection(self._queues):
            use.paused.discard(queue)
            if info := self._oban.check_queue(queue):
                await self._oban.resume_queue(queue, node=info.node)

    async def end(self) -> None:
        """Fetch no more; what has been fetched goes on."""
        use = _uses[self._oban]
        use.meshes.subtract(self._queues)
        for queue in self._queues:
            info = self._oban.check_queue(queue)
            if info and not info.paused and not use.meshes[queue]:
                use.paused.add(queue)
                await self._pause(queue, info.node)

    async def _pause(self, queue: str, node: str) -> None:
        """Pause; for this process it has taken effect before the database knows."""
        try:
            async with asyncio.timeout(TELLING_SECONDS):
                await self._oban.pause_queue(queue, node=node)
        except (psycopg.Error, TimeoutError) as error:
            logger.warning("queue %r is paused here, but the database isn't told: %r", queue, error)
