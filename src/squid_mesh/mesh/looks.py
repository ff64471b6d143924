"""Calls that look at runs. They write nothing."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any, Literal, overload
from uuid import UUID

from squid_mesh.definition.handed import Decision
from squid_mesh.definition.spec import StepKind
from squid_mesh.definition.values import Codec
from squid_mesh.definition.workflow import Workflow
from squid_mesh.engine.states import ENDED, RunStatus
from squid_mesh.errors import WaitTimeout
from squid_mesh.inspection.models import Run, RunDetails, RunPage
from squid_mesh.mesh.core import Core, name_of, parsed
from squid_mesh.runtime.catalog import Plan

LONGEST_PAGE = 1000
"""Runs on one page of `list_runs`, at most."""


class Looks(Core):
    """Looking at runs, and waiting for them."""

    @overload
    async def inspect_run(self, run_id: UUID | str) -> Run: ...
    @overload
    async def inspect_run(
        self, run_id: UUID | str, *, include_history: Literal[True]
    ) -> RunDetails: ...
    @overload
    async def inspect_run(
        self, run_id: UUID | str, *, include_history: bool
    ) -> Run | RunDetails: ...
    async def inspect_run(
        self, run_id: UUID | str, *, include_history: bool = False
    ) -> Run | RunDetails:
        """A run; with `include_history` a `RunDetails`. Raises `InvalidRunId` or `RunNotFound`."""
        wanted = parsed(run_id)
        async with self._pool.connection() as connection:
            if not include_history:
                return await self._read(connection, wanted)
            row = await self._reader.row(connection, wanted)
            plan = await self._catalog.plan(row["definition"])
            return await self._reader.details(connection, row, plan.graph.spec, _codecs(plan))

    async def wait_for_run(
        self,
        run_id: UUID | str,
        *,
        until: Collection[RunStatus] = ENDED,
        timeout: timedelta,
    ) -> Run:
        """The run, once its status is one of `until`; `WaitTimeout` has the run as it is."""
        wanted = parsed(run_id)
        run = await self.inspect_run(wanted)
        if run.status in until:
            return run
        seconds = timeout.total_seconds()
        arrived = await self._process.waiters.wait(wanted, until, seconds)
        run = await self.inspect_run(wanted)
        if not arrived and run.status not in until:
            raise WaitTimeout(run, seconds)
        return run

    async def list_runs(
        self,
        *,
        workflow: type[Workflow[Any]] | str | None = None,
        status: RunStatus | Collection[RunStatus] | None = None,
        trigger: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> RunPage:
        """Runs, newest first, without payloads; `cursor` is the `next_cursor` of the page before.

        Raises `ValueError` for a limit outside 1 to 1000 or a cursor that no page gave.
        """
        if not 1 <= limit <= LONGEST_PAGE:
            raise ValueError(f"limit={limit}: ask for 1 to {LONGEST_PAGE} runs")
        statuses = {RunStatus(status)} if isinstance(status, str) else status
        async with self._pool.connection() as connection:
            return await self._reader.page(
                connection,
                workflow=None if workflow is None else name_of(workflow),
                statuses=statuses,
                trigger=trigger,
                limit=limit,
                cursor=cursor,
            )


def _codecs(plan: Plan) -> dict[str, Codec]:
    """How each step's output is read: as what its function returns, when it is loaded."""
    return {
        name: Codec(Decision)
        if step.spec.kind is StepKind.APPROVAL
        else step.action.output
        if step.action
        else Codec(Any)
        for name, step in plan.steps.items()
    }
