"""Calls that look at runs. They write nothing."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any, Literal, cast, overload
from uuid import UUID

from squid_mesh.definition.handed import Decision
from squid_mesh.definition.spec import StepKind
from squid_mesh.definition.values import Codec, is_storable
from squid_mesh.definition.workflow import Workflow, name_of_workflow
from squid_mesh.engine.states import ENDED, RunStatus
from squid_mesh.errors import WaitTimeout, shown
from squid_mesh.inspection.models import Run, RunDetails, RunPage
from squid_mesh.mesh.core import Core, parsed
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
        """The run, once its status is one of `until`; `WaitTimeout` has the run as it is.

        Raises `InvalidRunId` or `RunNotFound`, `ValueError` for an `until` with anything but
        statuses, and `TypeError` for one that is no collection or a `timeout` that is no timedelta.
        """
        wanted = parsed(run_id)
        until = _statuses("until", until)
        seconds = _seconds(timeout)
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
        limit: int = 50,
        cursor: str | None = None,
    ) -> RunPage:
        """Runs, newest first, without payloads; `cursor` is the `next_cursor` of the page before.

        Raises `ValueError` for a limit outside 1 to 1000, a cursor that no page gave and what is no
        status, `UnknownWorkflow` and `TypeError` for what is no workflow, collection or text.
        """
        _check_limit(limit)
        _check_text("trigger", trigger)
        _check_text("cursor", cursor)
        statuses = None if status is None else _statuses("status", status)
        named = None if workflow is None else name_of_workflow(workflow)
        _check_text("workflow", named)
        async with self._pool.connection() as connection:
            return await self._reader.page(
                connection,
                workflow=named,
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


def _seconds(timeout: object) -> float:
    if isinstance(timeout, timedelta):
        return timeout.total_seconds()
    raise TypeError(f"timeout={shown(timeout)}: write timedelta(seconds=30)")


def _statuses(what: str, given: object) -> frozenset[RunStatus]:
    """One status or several, by text too. Raises `ValueError` or `TypeError`."""
    several: object = [given] if isinstance(given, str) else given
    if not isinstance(several, Collection):
        raise TypeError(f"{what}={shown(given)}: pass one status or several")
    wanted = list(cast("Collection[object]", several))
    if strange := [each for each in wanted if each not in _STATUSES]:
        known = ", ".join(map(str, RunStatus))
        raise ValueError(f"{what} holds {shown(strange[0])}: write one of {known}")
    return frozenset(RunStatus(str(each)) for each in wanted)


_STATUSES: tuple[object, ...] = tuple(map(str, RunStatus))


def _check_limit(limit: object) -> None:
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise TypeError(f"limit={shown(limit)}: write a whole number")
    if not 1 <= limit <= LONGEST_PAGE:
        raise ValueError(f"limit={limit}: ask for 1 to {LONGEST_PAGE} runs")


def _check_text(what: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{what}={shown(value)}: write text")
    if value is not None and not is_storable(value):
        raise ValueError(f"{what}={shown(value)} can't be anything's: it isn't plain text")
