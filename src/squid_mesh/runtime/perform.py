"""Does what one claimed step says: calls its function, or the built-in thing that it is."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from squid_mesh.definition.durations import seconds
from squid_mesh.definition.spec import StepKind, Wire
from squid_mesh.definition.values import MissingPath, Unreadable
from squid_mesh.engine.inputs import Stored, read
from squid_mesh.runtime.bodies import Bodies
from squid_mesh.runtime.catalog import Plan, PlannedStep
from squid_mesh.runtime.failures import BodyFailure, refusal
from squid_mesh.runtime.results import NO_OUTPUT, Hold, Intend, Result, Settled, Sleep, Unfit
from squid_mesh.runtime.surrounding import surrounded
from squid_mesh.store.records import Claimed
from squid_mesh.telemetry import LogContext, Telemetry

step_logger = logging.getLogger("squid_mesh.step")


@dataclass(frozen=True, slots=True)
class Performer:
    """Performs steps in this process."""

    bodies: Bodies
    telemetry: Telemetry

    async def perform(self, claimed: Claimed, plan: Plan, intend: Intend) -> Result | Settled:
        """The result of one attempt; of a transactional step with what `intend` has it write.

        Raises `Lost` when the transaction of a step is, and what cancels the driver itself.
        """
        if self.telemetry.is_instrumented or LogContext.is_made:
            return await surrounded(
                claimed, plan, self.telemetry, lambda: self._told(claimed, plan, intend)
            )
        return await self._told(claimed, plan, intend)

    async def _told(self, claimed: Claimed, plan: Plan, intend: Intend) -> Result | Settled:
        """The result, a failure without the run's secrets."""
        result = await self._perform(claimed, plan, intend)
        if isinstance(result, BodyFailure):
            return result.without(plan.secrets(claimed.payload, claimed.outputs))
        return result

    async def _perform(self, claimed: Claimed, plan: Plan, intend: Intend) -> Result | Settled:
        planned = plan.steps[claimed.step]
        match planned.spec.kind:
            case StepKind.ACTION:
                return await self._call(claimed, plan, planned, intend)
            case StepKind.LOG:
                _log(claimed, planned)
                return NO_OUTPUT
            case StepKind.WAIT:
                return NO_OUTPUT if claimed.slept else _sleep(claimed, planned)
            case StepKind.PAUSE:
                return Hold()
            case StepKind.APPROVAL:
                return _hold(claimed, planned)

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
    facts = {
        "run_id": str(claimed.run_id),
        "workflow": claimed.workflow,
        "step": claimed.step,
        "attempt": claimed.attempt,
    }
    step_logger.log(level, "%s", step.message, extra=facts)


def _sleep(claimed: Claimed, planned: PlannedStep) -> Sleep | BodyFailure:
    """How long a wait sleeps."""
    assert planned.spec.duration is not None, "a wait has a duration"
    time = _time(claimed, planned.spec.duration, "duration")
    return time if isinstance(time, BodyFailure) else Sleep(time)


def _hold(claimed: Claimed, planned: PlannedStep) -> Hold | BodyFailure:
    """How long an approval waits for a person: for good, unless it has a deadline."""
    if planned.spec.deadline is None:
        return Hold()
    time = _time(claimed, planned.spec.deadline, "deadline")
    return time if isinstance(time, BodyFailure) else Hold(time)


def _time(claimed: Claimed, wire: Wire, what: str) -> float | BodyFailure:
    """Seconds, which the payload or an output may say."""
    stored = Stored(claimed.payload, claimed.outputs, claimed.errors)
    try:
        return seconds(read(wire, stored))
    except (MissingPath, Unreadable) as error:
        return refusal("invalid_input", f"the {what} {error}", claimed.step, claimed.attempt)
