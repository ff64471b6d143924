"""Runs the body of one claimed step, from stored inputs to a stored output."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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
from squid_mesh.runtime.handles import Transaction
from squid_mesh.runtime.results import Intend, Output, Settled, Unfit
from squid_mesh.runtime.surroundings import Resources, injected
from squid_mesh.runtime.threads import Threads
from squid_mesh.runtime.transactions import Inside, Transactions
from squid_mesh.store.records import Claimed

type Call = Callable[[], Awaitable[Any]]
"""Calls a function with its inputs."""


@dataclass(frozen=True, slots=True)
class Bodies:
    """Calls the functions behind steps."""

    resources: Resources
    threads: Threads
    transactions: Transactions

    async def run(
        self, claimed: Claimed, plan: Plan, planned: PlannedStep, intend: Intend
    ) -> Output | BodyFailure | Unfit | Settled:
        """The outcome of one attempt. Raises `Lost`, and what cancels the driver itself."""
        action = planned.action
        assert action is not None, "a step is called only by code that fits"
        try:
            inputs = self._inputs(claimed, plan, planned.spec, action)
        except Unreadable as error:
            if not plan.is_current:  # stored by other code: code that fits may be elsewhere
                return Unfit(action.name, str(error))
            return refusal("invalid_input", str(error), claimed.step, claimed.attempt)
        except (InvalidInput, LookupError) as error:
            return refusal("invalid_input", str(error), claimed.step, claimed.attempt)
        if transactional := planned.spec.transactional():
            return await self._run_inside(transactional, claimed, planned, inputs, intend)
        call = partial(self._started, action, inputs)
        return await self._outcome(claimed, action, planned.operations.timeout, call)

    async def _run_inside(
        self,
        transactional: dict[str, Injected],
        claimed: Claimed,
        planned: PlannedStep,
        inputs: dict[str, Any],
        intend: Intend,
    ) -> BodyFailure | Settled:
        """Run a body inside the transaction that it is wired to."""
        action = planned.action
        assert action is not None, "a step is called only by code that fits"
        name, wire = next(iter(transactional.items()))

        async def body(transaction: Transaction) -> Output | BodyFailure:
            call = partial(transaction.call, action, inputs | {name: transaction.handle})
            return await self._outcome(claimed, action, planned.operations.timeout, call)

        return await self.transactions.run(Inside(claimed, action, wire, body, intend))

    async def _outcome(
        self, claimed: Claimed, action: Action, timeout: float | None, call: Call
    ) -> Output | BodyFailure:
        try:
            value = await _timed(call, timeout)
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
            if not isinstance(wire, Injected):
                inputs[name] = _load(action, name, stored[name])
            elif not wire.is_transactional:  # which is there once its transaction has begun
                inputs[name] = injected(wire, claimed, plan.graph.spec, self.resources)
        return inputs

    async def _started(self, action: Action, inputs: dict[str, Any]) -> Any:
        if action.is_async:
            return await action.function(**inputs)
        body: Callable[[], Any] = partial(action.function, **inputs)
        return await self.threads.run(body)


async def _timed(call: Call, timeout: float | None) -> Any:
    """Call a function, `async` on the loop and sync in a thread; time it from here."""
    if timeout is None:
        return await call()
    deadline = asyncio.timeout(timeout)
    try:
        async with deadline:
            return await call()
    except TimeoutError:
        if not deadline.expired():
            raise
        raise StepError(f"timed out after {timeout:g} s", code="timeout") from None


def _load(action: Action, name: str, value: Json) -> Any:
    try:
        return action.parameters[name].codec.load(value)
    except Unreadable as error:
        raise Unreadable(f"input {name!r} of {action.name} {error}") from None


def is_being_cancelled() -> bool:
    """Whether this task is told to end, rather than that what it called raised `CancelledError`."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
