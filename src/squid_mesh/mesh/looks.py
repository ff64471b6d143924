"""Calls that look at runs. They write nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, overload
from uuid import UUID

from squid_mesh.definition.nodes import Node
from squid_mesh.definition.workflow import Workflow, name_of_workflow
from squid_mesh.engine.states import ENDED, RunStatus
from squid_mesh.errors import WaitTimeout
from squid_mesh.inspection.code import Code
from squid_mesh.inspection.explaining import explain
from squid_mesh.inspection.explanation import Explanation
from squid_mesh.inspection.graph import RunGraph
from squid_mesh.inspection.history import History
from squid_mesh.inspection.listing import Filters
from squid_mesh.inspection.models import Run, RunDetails, RunPage
from squid_mesh.inspection.situation import Limits
from squid_mesh.mesh.core import Core, parsed, seconds_of, statuses_of
from squid_mesh.runtime.catalog import Plan
from squid_mesh.store.connections import snapshot


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
        if include_history:
            return (await self._history(wanted)).details()
        async with self._pool.connection() as connection:
            return await self._read(connection, wanted)

    async def wait_for_run(
        self,
        run_id: UUID | str,
        *,
        until: Collection[RunStatus] = ENDED,
        timeout: timedelta,
    ) -> Run:
        """The run, once its status is one of `until`; `WaitTimeout` has the run as it is.

        Raises `InvalidRunId` or `RunNotFound`, `ValueError` for an `until` with anything but
        statuses, and `TypeError` for one that is no collection or a `timeout` that is no timedelta.
        """
        wanted = parsed(run_id)
        until = statuses_of("until", until)
        seconds = seconds_of("timeout", timeout)
        run = await self.inspect_run(wanted)
        if run.status in until:
            return run
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
        step: Node | str | None = None,
        tags: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        replayed_from: UUID | str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> RunPage:
        """Runs that meet every filter, newest first, without payloads and details of errors.

        * `status`: one, or several.
        * `step`: runs that are at it: it runs, is ready, asleep or held. Such a list is in the
          order of the ids, which begin with the time of the start.
        * `tags`: runs that have all of them.
        * `since`, `until`: started at `since` or later, and before `until`.
        * `cursor`: the `next_cursor` of the page before; `limit`: up to 1000.

        Raises `InvalidFilter` with every argument that can't be.
        """
        filters = Filters.of(
            workflow=name_of_workflow(workflow) if isinstance(workflow, type) else workflow,
            status=status,
            trigger=trigger,
            step=step.name if isinstance(step, Node) else step,
            tags=tags,
            since=since,
            until=until,
            replayed_from=replayed_from,
            limit=limit,
            cursor=cursor,
        )
        async with self._pool.connection() as connection, snapshot(connection):
            return await self._reader.page(connection, filters)

    async def explain_run(self, run_id: UUID | str) -> Explanation:
        """Why a run is where it is, since when, what moves it next, and what can be done.

        Joins the run with its steps, their timers and jobs, who serves their queues, the leases of
        processes and the code that they have, all of one moment. Needs no process that lives but
        this one. Raises `InvalidRunId` or `RunNotFound`.
        """
        wanted = parsed(run_id)
        async with self._pool.connection() as connection, snapshot(connection):
            return explain(
                await self._reader.situation(connection, wanted, self._code_of, self._limits)
            )

    async def inspect_run_graph(
        self, run_id: UUID | str, *, include_details: bool = False
    ) -> RunGraph:
        """The graph that a run is pinned to, and the ways it has taken through it.

        With `include_details` its nodes have inputs, outputs, errors and attempts. Raises
        `InvalidRunId` or `RunNotFound`.
        """
        return (await self._history(parsed(run_id))).graph(include_details=include_details)

    @property
    def _limits(self) -> Limits:
        settings = self._settings
        return Limits(
            mesh=settings.name,
            queue=settings.queueing.queue,
            lease=timedelta(seconds=settings.lease),
            blocked=timedelta(seconds=settings.blocked),
            overdue=timedelta(seconds=settings.overdue),
        )

    async def _code_of(self, definition: str) -> Code:
        return _code(await self._catalog.plan(definition))

    async def _history(self, run_id: UUID) -> History:
        """Everything that is stored of a run, at one moment. Raises `RunNotFound`."""
        async with self._pool.connection() as connection, snapshot(connection):
            row = await self._reader.row(connection, run_id)
            code = await self._code_of(row["definition"])
            return await self._reader.history(connection, row, code)


def _code(plan: Plan) -> Code:
    return Code(
        plan.graph,
        operations={name: step.operations for name, step in plan.steps.items()},
        misfits={name: step.misfits for name, step in plan.steps.items()},
        codecs=plan.codecs,
        payload=plan.payload,
    )
