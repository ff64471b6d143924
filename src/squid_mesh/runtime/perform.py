"""Does what one claimed step says: calls its function, or the built-in thing that it is."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from squid_mesh.definition.durations import seconds
from squid_mesh.definition.spec import StepKind
from squid_mesh.definition.values import MissingPath, Unreadable
from squid_mesh.engine.inputs import Stored, read
from squid_mesh.runtime.bodies import Bodies
from squid_mesh.runtime.catalog import Plan, PlannedStep
from squid_mesh.runtime.failures import BodyFailure, refusal
from squid_mesh.runtime.results import NO_OUTPUT, Hold, Intend, Result, Settled, Sleep, Unfit
from squid_mesh.store.records import Claimed

step_logger = logging.getLogger("squid_mesh.step")


@dataclass(frozen=True, slots=True)
class Performer:
    """Performs steps in this process."""

    bodies: Bodies

    async def perform(self, claimed: Claimed, plan: Plan, intend: Intend) -> Result | Settled:
        """The result of one attempt; of a transactional step with what `intend` has it write.

        Raises `Lost` when the transaction of a step is, and what cancels the driver itself.
        """
        planned = plan.steps[claimed.step]
        match planned.spec.kind:
            case StepKind.ACTION:
                return await self._call(claimed, plan, planned, intend)
            case StepKind.LOG:
                _log(claimed, planned)
                return NO_OUTPUT
            case StepKind.WAIT:
                return NO_OUTPUT if claimed.slept else _sleep(claimed, planned)
            case StepKind.PAUSE | StepKind.APPROVAL:
                return Hold()

    async def _call(
        self, claimed: Claimed, plan: Plan, planned: PlannedStep, intend: Intend
    ) -> Result | Settled:
        assert planned.spec.action is not None, "an action has a function"
        if planned.action is None:
            return Unfit(planned.spec.action.name, "; ".join(planned.misfits))
        return await self.bodies.run(claimed, plan, planned, intend)


def _log(claimed: Claimed, planned: PlannedStep) -> None:
    step = planned.operations
    level = logging.getLevelNamesMapping()[(step.level or "info").upper()]
    facts = {"run_id": str(claimed.run_id), "workflow": claimed.workflow, "step": claimed.step}
    step_logger.log(level, "%s", step.message, extra=facts)


def _sleep(claimed: Claimed, planned: PlannedStep) -> Sleep | BodyFailure:
    """How long a wait sleeps, which the payload or an output may say."""
    duration = planned.spec.duration
    assert duration is not None, "a wait has a duration"
    stored = Stored(claimed.payload, claimed.outputs, claimed.errors)
    try:
        return Sleep(seconds(read(duration, stored)))
    except (MissingPath, Unreadable) as error:
        return refusal("invalid_input", f"the duration {error}", claimed.step, claimed.attempt)
