"""Runs the body of one claimed step, from stored inputs to a stored output."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from squid_mesh.definition.actions import Action
from squid_mesh.definition.spec import Injected, Json, StepSpec
from squid_mesh.definition.values import Unreadable, Unstorable
from squid_mesh.engine.inputs import InvalidInput, Stored, stored_inputs
from squid_mesh.errors import StepError
from squid_mesh.runtime.catalog import Plan, PlannedStep
from squid_mesh.runtime.failures import BodyFailure, from_exception, refusal
from squid_mesh.runtime.results import Output, Unfit
from squid_mesh.runtime.surroundings import Resources, injected
from squid_mesh.runtime.threads import Threads
from squid_mesh.store.records import Claimed


@dataclass(frozen=True, slots=True)
class Bodies:
    """Calls the functions behind steps."""

    resources: Resources
    threads: Threads

    async def run(
        self, claimed: Claimed, plan: Plan, planned: PlannedStep, action: Action
    ) -> Output | BodyFailure | Unfit:
        """The outcome of one attempt. Raises only what cancels the driver itself."""
        try:
            inputs = self._inputs(claimed, plan, planned.spec, action)
        except Unreadable as error:
            if not plan.is_current:  # stored by other code: code that fits may be elsewhere
                return Unfit(action.name, str(error))
            return refusal("invalid_input", str(error), claimed.step, claimed.attempt)
        except (InvalidInput, LookupError) as error:
            return refusal("invalid_input", str(error), claimed.step, claimed.attempt)
        return await self._outcome(claimed, action, inputs, planned.operations.timeout)

    async def _outcome(
        self, claimed: Claimed, action: Action, inputs: dict[str, Any], timeout: float | None
    ) -> Output | BodyFailure:
        try:
            value = await self._call(action, inputs, timeout)
            stored = action.output.dump(value)
        except Unstorable as error:
            message = f"the output of {action.name} {error}"
            return refusal("invalid_output", message, claimed.step, claimed.attempt)
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            return from_exception(error, claimed.step, claimed.attempt)
        except BaseException as error:  # noqa: BLE001 (a body may raise anything; its run tells)
            return from_exception(error, claimed.step, claimed.attempt)
        return Output(stored, orjson.loads(stored))

    def _inputs(
        self, claimed: Claimed, plan: Plan, step: StepSpec, action: Action
    ) -> dict[str, Any]:
        stored = stored_inputs(step, Stored(claimed.payload, claimed.outputs, claimed.errors))
        inputs: dict[str, Any] = {}
        for name, wire in step.inputs.items():
            if isinstance(wire, Injected):
                inputs[name] = injected(wire, claimed, plan.graph.spec, self.resources)
            else:
                inputs[name] = _load(action, name, stored[name])
        return inputs

    async def _call(self, action: Action, inputs: dict[str, Any], timeout: float | None) -> Any:
        """Call the function, `async` on the loop and sync in a thread; time it from here."""
        if timeout is None:
            return await self._started(action, inputs)
        deadline = asyncio.timeout(timeout)
        try:
            async with deadline:
                return await self._started(action, inputs)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise StepError(f"timed out after {timeout:g} s", code="timeout") from None

    async def _started(self, action: Action, inputs: dict[str, Any]) -> Any:
        if action.is_async:
            return await action.function(**inputs)
        body: Callable[[], Any] = partial(action.function, **inputs)
        return await self.threads.run(body)


def _load(action: Action, name: str, value: Json) -> Any:
    try:
        return action.parameters[name].codec.load(value)
    except Unreadable as error:
        raise Unreadable(f"input {name!r} of {action.name} {error}") from None


def is_being_cancelled() -> bool:
    """Whether this task is told to end, rather than that what it called raised `CancelledError`."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
