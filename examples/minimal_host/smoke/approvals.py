"""Approvals: either way, and none in time."""

from uuid import UUID

from examples.clock import let_pass
from examples.minimal_host.reading import audited
from examples.minimal_host.stage import Stage
from examples.minimal_host.workflows_api import APPROVAL_DEADLINE


async def approved(stage: Stage) -> None:
    """Held, approved, recorded; and all of it is in the audit."""
    run_id = await _held(stage)
    moved = await stage.workflows.approve_run(
        run_id, actor="ops_smoke", comment="approved", ticket="SMOKE-1"
    )
    stage.checks.that("goes on at", moved.current_steps, ("record_approval",))
    details = await stage.workflows.wait_for_end(run_id)
    stage.checks.that("status", str(details.status), "completed")
    stage.checks.that("recorded", details.context["approval"]["status"], "approved")
    audit = [
        ("paused", None, None, None),
        ("approved", "ops_smoke", "approved", {"ticket": "SMOKE-1"}),
    ]
    stage.checks.that("audit", audited(details), audit)


async def rejected(stage: Stage) -> None:
    """The other way out."""
    run_id = await _held(stage)
    await stage.workflows.reject_run(run_id, actor="ops_smoke", comment="no")
    details = await stage.workflows.wait_for_end(run_id)
    stage.checks.that("status", str(details.status), "completed")
    stage.checks.that("recorded", details.context["rejection"]["status"], "rejected")


async def overdue(stage: Stage) -> None:
    """Two days later nobody has decided."""
    run_id = await _held(stage)
    await let_pass(stage.app.pool, APPROVAL_DEADLINE)
    details = await stage.workflows.wait_for_end(run_id)
    stage.checks.that("status", str(details.status), "completed")
    stage.checks.that("recorded", details.context["escalation"]["status"], "overdue")


async def _held(stage: Stage) -> UUID:
    run = await stage.workflows.start_manual_approval("acct_1")
    held = await stage.workflows.wait_for_rest(run.id)
    at = (str(held.status), held.current_steps)
    stage.checks.that("held at", at, ("paused", ("wait_for_approval",)))
    return run.id
