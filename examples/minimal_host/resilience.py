"""`resilience`: runs go on after the application was stopped and started, and after a kill.

Three lives of the application, one after the other, on one database. The first leaves a run asleep,
one between two attempts and one that waits for a person. The second works on nothing: it has a
process do so, which is killed in the middle of a step, and then starts one more run. The third
finds them all.
"""

from datetime import timedelta
from uuid import UUID

from examples.clock import let_pass
from examples.workers import worker

from .application import running
from .checks import Checks
from .gateway_stub import GatewayStub
from .reading import attempts, audited
from .stage import Stage
from .workflows_api import RETRY_BACKOFF

DELAY = timedelta(hours=1)
WORKER = f"{__package__}.worker"


async def resilience(dsn: str, checks: Checks) -> None:
    """Play it all."""
    gateway = GatewayStub()
    with gateway.serving() as url:
        async with running(dsn, url) as app:
            first = Stage(app, gateway, checks)
            asleep = await _fall_asleep(first)
            failed = await _fail_once(first)
            held = await _ask_for_approval(first)
        async with running(dsn, url, slots=0) as app:
            second = Stage(app, gateway, checks)
            killed = await _kill(second, dsn, url)
            queued = await _queue(second)
        async with running(dsn, url) as app:
            third = Stage(app, gateway, checks)
            await _works_off(third, queued)
            await _wakes(third, asleep)
            await _tries_again(third, failed)
            await _is_approved(third, held)
            await _is_taken_over(third, killed)


async def _fall_asleep(stage: Stage) -> UUID:
    run = await stage.workflows.start_cancellable_wait(DELAY)
    with stage.checks.about("A run is asleep when the application stops"):
        details = await stage.workflows.wait_for_sleep(run.id)
        found = (str(details.status), details.current_steps)
        stage.checks.that("status", found, ("running", ("wait_for_delivery",)))
    return run.id


async def _fail_once(stage: Stage) -> UUID:
    run = await stage.workflows.start_retry_verification("probe-1")
    with stage.checks.about("A run is between two attempts when the application stops"):
        details = await stage.workflows.wait_for_rest(run.id)
        found = (str(details.status), details.current_steps)
        stage.checks.that("status", found, ("retrying", ("exercise_retry",)))
        stage.checks.that("attempts", attempts(details, "exercise_retry"), ["failed"])
    return run.id


async def _ask_for_approval(stage: Stage) -> UUID:
    run = await stage.workflows.start_manual_approval("acct_1")
    with stage.checks.about("A run waits for a person when the application stops"):
        details = await stage.workflows.wait_for_rest(run.id)
        found = (str(details.status), details.current_steps)
        stage.checks.that("status", found, ("paused", ("wait_for_approval",)))
    return run.id


async def _queue(stage: Stage) -> UUID:
    run = await stage.workflows.start_payment_recovery("invoice-1")
    with stage.checks.about("A run is queued while nobody works"):
        stage.checks.that("status", str(run.status), "pending")
    return run.id


async def _works_off(stage: Stage, run_id: UUID) -> None:
    with stage.checks.about("Started again: the queued run"):
        details = await stage.workflows.wait_for_end(run_id)
        stage.checks.that("status", str(details.status), "completed")


async def _wakes(stage: Stage, run_id: UUID) -> None:
    with stage.checks.about("Started again: the run that slept"):
        details = await stage.workflows.inspect_run(run_id)
        stage.checks.that("is still at", details.current_steps, ("wait_for_delivery",))
        await let_pass(stage.app.pool, DELAY)
        details = await stage.workflows.wait_for_end(run_id)
        stage.checks.that("status", str(details.status), "completed")


async def _tries_again(stage: Stage, run_id: UUID) -> None:
    with stage.checks.about("Started again: the run between two attempts"):
        await let_pass(stage.app.pool, RETRY_BACKOFF)
        details = await stage.workflows.wait_for_end(run_id)
        stage.checks.that("status", str(details.status), "completed")
        found = attempts(details, "exercise_retry")
        stage.checks.that("attempts", found, ["failed", "completed"])


async def _is_approved(stage: Stage, run_id: UUID) -> None:
    with stage.checks.about("Started again: the run that waits for a person"):
        details = await stage.workflows.inspect_run(run_id)
        paused = ("paused", None, None, None)
        stage.checks.that("audit", audited(details), [paused])
        moved = await stage.workflows.approve_run(
            run_id, actor="ops_restart", comment="after a restart", ticket="RESTART-1"
        )
        stage.checks.that("goes on at", moved.current_steps, ("record_approval",))
        details = await stage.workflows.wait_for_end(run_id)
        stage.checks.that("status", str(details.status), "completed")
        stage.checks.that("recorded", details.context["approval"]["status"], "approved")
        approved = ("approved", "ops_restart", "after a restart", {"ticket": "RESTART-1"})
        stage.checks.that("audit", audited(details), [paused, approved])


async def _kill(stage: Stage, dsn: str, url: str) -> UUID:
    """A process asks the gateway, and is killed before it has the answer."""
    with stage.checks.about("A process is killed in the middle of a step"):
        async with worker(WORKER, dsn, url) as doomed:
            run = await stage.workflows.start_payment_recovery("slow-1")
            await stage.gateway.is_asked_for("slow-1")
            doomed.kill()
        details = await stage.workflows.inspect_run(run.id)
        found = (str(details.status), details.current_steps)
        stage.checks.that("status", found, ("running", ("check_gateway_status",)))
    return run.id


async def _is_taken_over(stage: Stage, run_id: UUID) -> None:
    with stage.checks.about("Started again: the run of the process that was killed"):
        details = await stage.workflows.wait_for_end(run_id)
        stage.checks.that("status", str(details.status), "completed")
        found = attempts(details, "check_gateway_status")
        stage.checks.that("attempts", found, ["interrupted", "completed"])
        stage.checks.that("the gateway was asked", stage.gateway.asked["slow-1"], 2)
