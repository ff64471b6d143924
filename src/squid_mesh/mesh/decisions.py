"""Calls by which somebody decides about a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from squid_mesh.inspection.models import Run
from squid_mesh.mesh.core import Core, parsed
from squid_mesh.runtime.cancelling import cancel
from squid_mesh.runtime.telling import cancelled


class Decisions(Core):
    """Ending runs."""

    async def cancel_run(
        self,
        run_id: UUID | str,
        *,
        actor: str | Mapping[str, Any] | None = None,
        comment: str | None = None,
        conn: Any = None,
    ) -> Run:
        """Cancel a run: `cancelled` at once, or `cancelling` until the bodies under way have ended.

        After this has returned (with `conn`: after the host's commit) no step of the run begins.
        Cancelling twice changes nothing. Raises `InvalidRunId`, `RunNotFound`, or
        `InvalidTransition` for a run that has completed or failed.
        """
        wanted = parsed(run_id)
        async with self._starter.transaction(conn) as connection:
            cancellation = await cancel(
                connection, self._statements, wanted, actor=actor, comment=comment
            )
            run = await self._read(connection, wanted)
        if conn is None:
            self._process.waiters.tell(wanted, cancellation.status)
            for event in cancelled(wanted, run.workflow, cancellation):
                self._telemetry.tell(event)
        return run
