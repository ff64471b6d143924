"""Interrupted steps that an operator decides about: tried again, done after all, or given up."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from squid_mesh import (
    IncompatibleCode,
    InvalidReview,
    InvalidStep,
    Mesh,
    NoPayload,
    Run,
    RunDetails,
    StepContext,
    Workflow,
    complete,
    context,
    pause,
    resource,
    step,
)
from tests.conformance import conforms
from tests.integration.test_gates import audit, gates_wait, snapshot
from tests.meshes import Probe, Workflows, ended, history, on_host, statuses, step_of


async def charge(at: StepContext, probe: Probe) -> Literal["paid", "declined"]:
    """Never ends, the first time."""
    if at.attempt == 1:
        await probe.hold(at.step)
    return "paid"


async def note(what: str) -> str:
    return what


async def note_failure(message: str, attempt: int) -> str:
    return f"{message} ({attempt})"


class Charge(Workflow[NoPayload]):
    charge = step(charge, on_interrupt="pause").takes(context, resource(Probe))
    paid = step(note).takes("paid")
    declined = step(note).takes("declined")
    flow = (
        charge.when("paid") >> paid >> complete,
        charge.when("declined") >> declined >> complete,
    )


class Routed(Workflow[NoPayload]):
    charge = step(charge, on_interrupt="pause").takes(context, resource(Probe))
    failed = step(note_failure).takes(charge.error.message, charge.error.attempt)
    flow = (charge >> complete, charge.on_error >> failed >> complete)


class Beside(Workflow[NoPayload]):
    """A gate, a charge, and what waits for both."""

    hold = pause()
    charge = step(charge, on_interrupt="pause").takes(context, resource(Probe))
    last = step(note, after=[hold, charge]).takes("last")


WORKFLOWS: Workflows = [Charge, Routed, Beside]


@asynccontextmanager
async def interrupted(
    dsn: str, workflow: type[Workflow[NoPayload]]
) -> AsyncGenerator[tuple[Mesh, Run]]:
    """A run whose charge lost its worker in the middle, and a mesh that has found it."""
    probe = Probe()
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as mesh:
        run = await mesh.start_run(workflow)
        await probe.begun.wait()
    async with on_host(dsn, WORKFLOWS, resources=[Probe()]) as heir:
        await gates_wait(heir, run.id, 2 if workflow is Beside else 1)
        yield heir, await heir.inspect_run(run.id)


def attempts(run: RunDetails) -> list[tuple[int, str]]:
    return [(a.number, a.status) for a in step_of(run, "charge").attempts]


@conforms("S173")
async def test_an_interrupted_step_waits_and_says_so(dsn: str) -> None:
    async with interrupted(dsn, Charge) as (mesh, run):
        assert (run.status, run.current_steps) == ("paused", ("charge",))
        details = await history(mesh, run.id)
        assert attempts(details) == [(1, "interrupted")]
        assert audit(details) == [("interrupted", "charge")]
        error = step_of(details, "charge").error
        assert error is not None
        assert error.code == "interrupted"


async def test_it_is_tried_again(dsn: str) -> None:
    async with interrupted(dsn, Charge) as (mesh, run):
        moved = await mesh.resolve_step(run.id, "retry", actor="ops", comment="the bank has none")
        assert moved.status == "running"
        details = await ended(mesh, run.id)
        assert attempts(details) == [(1, "interrupted"), (2, "completed")]
        assert statuses(details) == {
            "charge": "completed",
            "paid": "completed",
            "declined": "skipped",
        }
        assert audit(details) == [("interrupted", "charge"), ("resolved", "charge")]
        assert details.audit_events[-1].comment == "the bank has none"


@pytest.mark.parametrize("outcome", ["paid", "declined"])
async def test_it_was_done_after_all(dsn: str, outcome: Literal["paid", "declined"]) -> None:
    """Its output takes its way; no attempt is made up for it."""
    async with interrupted(dsn, Charge) as (mesh, run):
        await mesh.resolve_step(run.id, "complete", output=outcome, actor="ops", step="charge")
        details = await ended(mesh, run.id)
        assert details.output(Charge.charge) == outcome
        assert step_of(details, outcome).status == "completed"
        assert attempts(details) == [(1, "interrupted")]
        assert step_of(details, "charge").error is None


async def test_it_is_given_up_and_its_run_fails(dsn: str) -> None:
    async with interrupted(dsn, Charge) as (mesh, run):
        moved = await mesh.resolve_step(run.id, "fail", actor="ops")
        assert moved.status == "failed"
        assert moved.error is not None
        assert (moved.error.step, moved.error.code) == ("charge", "interrupted")
        details = await history(mesh, run.id)
        assert attempts(details) == [(1, "interrupted")]
        assert statuses(details) == {"charge": "failed", "paid": "skipped", "declined": "skipped"}
        assert audit(details) == [("interrupted", "charge"), ("resolved", "charge")]


async def test_it_is_given_up_and_goes_over_its_error_route(dsn: str) -> None:
    async with interrupted(dsn, Routed) as (mesh, run):
        await mesh.resolve_step(run.id, "fail", actor="ops")
        details = await ended(mesh, run.id)
        assert details.status == "completed"
        assert details.output(Routed.failed).endswith("(1)")
        assert attempts(details) == [(1, "interrupted")]


async def test_beside_a_gate_each_call_finds_its_own(dsn: str) -> None:
    async with interrupted(dsn, Beside) as (mesh, run):
        assert (await mesh.unblock_run(run.id)).status == "paused"
        moved = await mesh.resolve_step(run.id, "complete", output="paid", actor="ops")
        assert moved.status == "running"
        assert (await ended(mesh, run.id)).status == "completed"


async def test_to_give_up_beside_a_gate_ends_that_too(dsn: str) -> None:
    async with interrupted(dsn, Beside) as (mesh, run):
        assert (await mesh.resolve_step(run.id, "fail", actor="ops")).status == "failed"
        details = await history(mesh, run.id)
        assert statuses(details) == {"hold": "cancelled", "charge": "failed", "last": "cancelled"}
        assert [a.status for a in step_of(details, "hold").attempts] == ["cancelled"]


async def test_cancelling_keeps_the_attempt_that_was_interrupted(dsn: str) -> None:
    async with interrupted(dsn, Charge) as (mesh, run):
        await mesh.cancel_run(run.id)
        details = await history(mesh, run.id)
        assert attempts(details) == [(1, "interrupted")]
        assert audit(details)[-1] == ("cancelled", None)


@conforms("S134")
async def test_what_is_wrong_changes_nothing(dsn: str) -> None:
    async with interrupted(dsn, Charge) as (mesh, run):
        before = await snapshot(dsn)
        wrong: list[tuple[dict[str, Any], set[str]]] = [
            ({"how": "retry", "actor": ""}, {"actor"}),
            ({"how": "again", "actor": "ops"}, {"how"}),
            ({"how": "retry", "actor": "ops", "output": "paid"}, {"output"}),
            ({"how": "complete", "actor": "ops", "output": "perhaps"}, {"output"}),
            ({"how": "complete", "actor": "ops"}, {"output"}),
        ]
        for facts, names in wrong:
            with pytest.raises(InvalidReview) as refused:
                await mesh.resolve_step(run.id, **facts)
            assert refused.value.problems.keys() == names
        with pytest.raises(InvalidStep) as elsewhere:
            await mesh.unblock_run(run.id)
        assert elsewhere.value.reason == "it was interrupted: use resolve_step"
        assert await snapshot(dsn) == before


async def test_only_code_that_knows_the_step_can_say_what_it_left(dsn: str) -> None:
    async with interrupted(dsn, Charge) as (_, run), on_host(dsn, [], name="empty") as stranger:
        with pytest.raises(IncompatibleCode) as refused:
            await stranger.resolve_step(run.id, "complete", output="paid", actor="ops")
        assert refused.value.action.endswith(":charge")
        assert (await stranger.resolve_step(run.id, "fail", actor="ops")).status == "failed"
