"""Takes over what died: steps of processes that are gone get a new attempt. Needs no leader."""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from squid_mesh.engine.states import RunStatus
from squid_mesh.runtime.catalog import Catalog
from squid_mesh.runtime.driving import Driving
from squid_mesh.runtime.failures import refusal
from squid_mesh.runtime.ledger import Ledger
from squid_mesh.store.records import Ended
from squid_mesh.store.writes import Interrupted

logger = logging.getLogger(__name__)


class Recovery:
    """One sweep after the other; any number of processes may sweep at once."""

    def __init__(
        self,
        catalog: Catalog,
        ledger: Ledger,
        driving: Driving,
        *,
        silence: float,
        blocked: float,
        ended: Callable[[UUID, RunStatus], None],
    ) -> None:
        self._catalog = catalog
        self._ledger = ledger
        self._driving = driving
        self._silence = silence
        self._blocked = blocked
        self._ended = ended

    async def sweep(self) -> int:
        """Recover the steps that were interrupted; how many there were."""
        found = await self._ledger.find_interrupted(silence=self._silence, blocked=self._blocked)
        lost = [i for i in found if (i.run_id, i.step) not in self._driving]
        again = [i for i in lost if await self._policy(i) == "retry"]
        if again:
            count = await self._ledger.retry_interrupted(again)
            logger.warning("%d interrupted steps are tried again", count)
        for interrupted in lost:
            if await self._policy(interrupted) == "fail":
                await self._fail(interrupted)
        return len(lost)

    async def _policy(self, interrupted: Interrupted) -> str:
        plan = await self._catalog.plan(interrupted.definition)
        return plan.steps[interrupted.step].operations.on_interrupt

    async def _fail(self, interrupted: Interrupted) -> None:
        failure = refusal(
            "interrupted",
            "its worker died in the middle of it, and it may not be tried again",
            interrupted.step,
            interrupted.attempt,
        )
        outcome = await self._ledger.fail_interrupted(interrupted, failure.stored)
        if isinstance(outcome, Ended):
            self._ended(interrupted.run_id, outcome.status)
