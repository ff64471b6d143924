"""Calls about cron triggers."""

from __future__ import annotations

from typing import Any

from squid_mesh.definition.values import is_storable
from squid_mesh.definition.workflow import Workflow, name_of_workflow
from squid_mesh.errors import InvalidTrigger
from squid_mesh.inspection.models import Schedule
from squid_mesh.mesh.core import Core
from squid_mesh.store.schedules import Name


class Schedules(Core):
    """Seeing, pausing and resuming cron triggers."""

    async def schedules(self) -> list[Schedule]:
        """Every cron trigger, with its next and last window."""
        async with self._pool.connection() as connection:
            return await self._reader.schedules(connection)

    async def pause_schedule(self, workflow: type[Workflow[Any]] | str, trigger: str) -> Schedule:
        """Stop firing a cron trigger; after this has returned none of its windows starts a run.

        Pausing twice changes nothing. Raises `InvalidTrigger` or `UnknownWorkflow`.
        """
        name = _name(workflow, trigger)
        await self._process.scheduler.pause(name)
        return await self._schedule(name)

    async def resume_schedule(self, workflow: type[Workflow[Any]] | str, trigger: str) -> Schedule:
        """Fire a paused cron trigger again. The windows that passed meanwhile are skipped.

        Resuming twice changes nothing. Raises `InvalidTrigger` or `UnknownWorkflow`.
        """
        name = _name(workflow, trigger)
        await self._process.scheduler.resume(name)
        return await self._schedule(name)

    async def _schedule(self, name: Name) -> Schedule:
        async with self._pool.connection() as connection:
            of_workflow = await self._reader.schedules(connection, name.workflow)
        return next(one for one in of_workflow if one.trigger == name.trigger)


def _name(workflow: type[Workflow[Any]] | str, trigger: str) -> Name:
    """Which schedule is meant. Raises `InvalidTrigger` for names that none can have."""
    name = name_of_workflow(workflow)
    if is_storable(name) and is_storable(trigger):
        return Name(name, trigger)
    raise InvalidTrigger(name, trigger, (), kind="cron trigger")
