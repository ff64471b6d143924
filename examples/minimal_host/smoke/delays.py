"""What waits for a time: a schedule, a retry, a delivery. The clock is put forward."""

from datetime import timedelta

from examples.clock import let_pass, put_forward
from examples.minimal_host.reading import failures
from examples.minimal_host.stage import Stage
from examples.minimal_host.workflows_api import RETRY_BACKOFF


async def cron(stage: Stage) -> None:
    """At its next window the schedule starts a new run."""
    window = await stage.workflows.next_digest()
    assert window, "nobody has paused it"
    before = {run.id for run in await stage.workflows.list_daily_digest_runs()}
    await put_forward(stage.app.pool, window)
    details = await stage.workflows.wait_for_digest(window)
    stage.checks.that("is new", details.id in before, expected=False)
    stage.checks.that("status", str(details.status), "completed")
    stage.checks.that("trigger", details.trigger, "daily_digest")
    payload = {"channel": "ops", "digest_date": window.date().isoformat()}
    stage.checks.that("payload", details.payload, payload)


async def retry(stage: Stage) -> None:
    """One failure, and success at the second attempt."""
    run = await stage.workflows.start_retry_verification("probe-1")
    details = await stage.workflows.wait_for_rest(run.id)
    stage.checks.that("status", str(details.status), "retrying")
    await let_pass(stage.app.pool, RETRY_BACKOFF)
    details = await stage.workflows.wait_for_end(run.id)
    stage.checks.that("status", str(details.status), "completed")
    stage.checks.that("failures", failures(details, "exercise_retry"), ["retry_later", None])
    probe = {"attempt_id": "probe-1", "status": "ok"}
    stage.checks.that("probe", details.context["retry_probe"], probe)


async def delivery(stage: Stage) -> None:
    """Asleep for an hour, then delivered."""
    run = await stage.workflows.start_cancellable_wait(timedelta(hours=1))
    details = await stage.workflows.wait_for_sleep(run.id)
    stage.checks.that("status", str(details.status), "running")
    await let_pass(stage.app.pool, timedelta(hours=1))
    details = await stage.workflows.wait_for_end(run.id)
    stage.checks.that("status", str(details.status), "completed")


async def cancelled_asleep(stage: Stage) -> None:
    """Nothing is executing, so it is over at once."""
    run = await stage.workflows.start_cancellable_wait(timedelta(hours=1))
    await stage.workflows.wait_for_sleep(run.id)
    cancelled = await stage.workflows.cancel_run(run.id)
    stage.checks.that("status", str(cancelled.status), "cancelled")
