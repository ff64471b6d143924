"""Refunds: runs and steps that commit with the application's own rows, or not at all."""

from contextlib import suppress
from uuid import UUID

from examples.minimal_host import refunds
from examples.minimal_host.stage import Stage

TILL = 500


class ChangeOfMind(Exception):
    """Why the application rolls back."""


async def small_refund(stage: Stage) -> None:
    """Straight to the till."""
    await refunds.fill_till(stage.app.pool, TILL)
    refund_id, run_id = await stage.app.request_refund(80)
    details = await stage.workflows.wait_for_end(run_id)
    stage.checks.that("status", str(details.status), "completed")
    await _check_books(stage, refund_id, state="paid", entries=1, balance=TILL - 80)


async def large_refund(stage: Stage) -> None:
    """Held until somebody lets it go on."""
    await refunds.fill_till(stage.app.pool, TILL)
    refund_id, run_id = await stage.app.request_refund(400)
    held = await stage.workflows.wait_for_rest(run_id)
    stage.checks.that("held at", held.current_steps, ("hold",))
    await stage.workflows.unblock_run(run_id, actor="ops_smoke")
    details = await stage.workflows.wait_for_end(run_id)
    stage.checks.that("status", str(details.status), "completed")
    await _check_books(stage, refund_id, state="paid", entries=1, balance=TILL - 400)


async def short_till(stage: Stage) -> None:
    """The entry that the step had already made is gone with it."""
    await refunds.fill_till(stage.app.pool, 10)
    refund_id, run_id = await stage.app.request_refund(80)
    details = await stage.workflows.wait_for_end(run_id)
    stage.checks.that("status", str(details.status), "completed")
    stage.checks.that("reason", details.context["reason"], "there is less than 80 in the till")
    await _check_books(stage, refund_id, state="refused", entries=0, balance=10)


async def rolled_back(stage: Stage) -> None:
    """No row and no run: they are one transaction."""
    started: list[tuple[int, UUID]] = []
    with suppress(ChangeOfMind):
        async with stage.app.pool.connection() as conn, conn.transaction():
            refund_id = await refunds.request(conn, 80)
            run = await stage.workflows.start_refund(conn, refund_id, 80)
            started.append((refund_id, run.id))
            raise ChangeOfMind
    ((refund_id, run_id),) = started
    stage.checks.that("refund", await refunds.state_of(stage.app.pool, refund_id), None)
    stage.checks.that("run exists", await stage.workflows.exists(run_id), expected=False)


async def _check_books(
    stage: Stage, refund_id: int, *, state: str, entries: int, balance: int
) -> None:
    pool = stage.app.pool
    stage.checks.that("refund", await refunds.state_of(pool, refund_id), state)
    stage.checks.that("ledger", await refunds.entries_of(pool, refund_id), entries)
    stage.checks.that("till", await refunds.balance(pool), balance)
