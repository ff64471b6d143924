"""`soak`: many runs at once, round after round, with replays, retries and cancellations."""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from examples.clock import let_pass

from .application import running
from .checks import Checks
from .gateway_stub import GatewayStub
from .reading import attempts
from .stage import Stage
from .workflows_api import RETRY_BACKOFF, RunDetails

PAYMENTS, REPLAYS, RETRIES, CANCELLATIONS = 12, 2, 3, 3


@dataclass(slots=True)
class Tally:
    """How many runs did what they should."""

    rounds: int = 0
    successful_runs: int = 0
    replayed_runs: int = 0
    retried_runs: int = 0
    cancelled_runs: int = 0

    def expected(self) -> "Tally":
        """What it has to be after so many rounds."""
        return Tally(
            rounds=self.rounds,
            successful_runs=self.rounds * PAYMENTS,
            replayed_runs=self.rounds * REPLAYS,
            retried_runs=self.rounds * RETRIES,
            cancelled_runs=self.rounds * CANCELLATIONS,
        )


async def soak(dsn: str, checks: Checks, *, duration: timedelta) -> None:
    """Play rounds until `duration` is over, at least one, and see that nothing is left."""
    gateway, tally = GatewayStub(), Tally()
    began = time.monotonic()
    with gateway.serving() as url:
        async with running(dsn, url) as app:
            stage = Stage(app, gateway, checks)
            with checks.about(f"Rounds for {duration.total_seconds():g} s"):
                while not tally.rounds or time.monotonic() - began < duration.total_seconds():
                    await _round(stage, tally)
                checks.that("tally", tally, tally.expected())
                live = await stage.workflows.list_live_runs()
                left = [await stage.workflows.wait_for_end(run.id) for run in live]
                checks.that("never ended", [str(run.id) for run in left if not run.ended_at], [])
    print(f"Took {(time.monotonic() - began) * 1000:,.0f} ms.")


async def _round(stage: Stage, tally: Tally) -> None:
    tally.rounds += 1
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_pay_and_replay(stage, tally))
        tasks.create_task(_retry(stage, tally))
        tasks.create_task(_cancel(stage, tally))


async def _pay_and_replay(stage: Stage, tally: Tally) -> None:
    invoices = [f"invoice-{tally.rounds}-{number}" for number in range(PAYMENTS)]
    runs = await stage.workflows.start_payment_recoveries(invoices)
    ended = await _all(stage.workflows.wait_for_end(run.id) for run in runs)
    tally.successful_runs += _completed(ended)
    for run in runs[:REPLAYS]:
        again = await stage.workflows.replay_run(run.id)
        details = await stage.workflows.wait_for_end(again.id)
        tally.replayed_runs += _completed([details]) and details.replayed_from == run.id


async def _retry(stage: Stage, tally: Tally) -> None:
    runs = await _all(
        stage.workflows.start_retry_verification(f"probe-{tally.rounds}-{number}")
        for number in range(RETRIES)
    )
    await _all(stage.workflows.wait_for_rest(run.id) for run in runs)
    await let_pass(stage.app.pool, RETRY_BACKOFF)
    ended = await _all(stage.workflows.wait_for_end(run.id) for run in runs)
    tally.retried_runs += _completed(
        [run for run in ended if attempts(run, "exercise_retry") == ["failed", "completed"]]
    )


async def _cancel(stage: Stage, tally: Tally) -> None:
    """One that is asleep, and others wherever they are."""
    delay = timedelta(days=1)
    runs = await _all(stage.workflows.start_cancellable_wait(delay) for _ in range(CANCELLATIONS))
    await stage.workflows.wait_for_sleep(runs[0].id)
    await _all(stage.workflows.cancel_run(run.id) for run in runs)
    ended = await _all(stage.workflows.wait_for_end(run.id) for run in runs)
    tally.cancelled_runs += sum(run.status == "cancelled" for run in ended)


def _completed(runs: Sequence[RunDetails]) -> int:
    return sum(run.status == "completed" for run in runs)


async def _all[T](calls: Iterable[Awaitable[T]]) -> list[T]:
    return await asyncio.gather(*calls)
