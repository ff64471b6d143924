"""Plays the scenarios: starts runs and watches them, and kills a process that works on one."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from examples.clock import put_forward
from examples.workers import worker
from squid_mesh import Mesh, Run, RunDetails, WaitTimeout

from . import settings
from .application import HEARTBEAT, LEASE, Application, assembled
from .content import FailedDelivery
from .report import Progress
from .scenarios import Outcome, Scenario
from .servers import Webhook
from .workflow import DigestPayload, PostDailyDigest

PATIENCE = timedelta(minutes=1)
GLANCE = timedelta(milliseconds=100)

WORKER = f"{__package__}.worker"

DEATH = (
    f"A process says every {HEARTBEAT.total_seconds():g} s that it lives; after"
    f" {LEASE.total_seconds():g} s of silence another one takes its steps over."
)


@dataclass(frozen=True, slots=True)
class Stage:
    """What every play needs: the database, the webhook, and who tells of the runs."""

    dsn: str
    webhook: Webhook
    progress: Progress

    async def play_at_once(self, scenarios: Sequence[Scenario]) -> list[Outcome]:
        """One process for everything: it starts the runs and works on them."""
        async with assembled(self.dsn) as app:
            await app.install()
            async with app.oban, app.mesh, asyncio.TaskGroup() as tasks:
                playing = [tasks.create_task(self._play(app.mesh, each)) for each in scenarios]
            return [
                await self._outcome(app, scenario, details.result())
                for scenario, details in zip(scenarios, playing, strict=True)
            ]

    async def play_from_its_window(self, scenario: Scenario) -> Outcome:
        """Nobody starts the run: the digest's schedule does, when its next window has come."""
        async with assembled(self.dsn) as app, app.oban, app.mesh:
            (daily,) = await app.mesh.schedules()
            window = daily.next_window
            assert window, "nobody paused it"
            self.progress.say(
                f"The next window of {daily.trigger} is {window:%A, %d %B, %H:%M %Z}."
                " The demo puts the mesh's clock forward to it."
            )
            with settings.pointing_to(scenario.feed_url, scenario.webhook_url):
                await put_forward(app.pool, window)
                run = await self._run_of(app.mesh, window)
            details = await self._watch(app.mesh, scenario, run)
            return await self._outcome(app, scenario, details)

    async def play_with_a_kill(self, scenario: Scenario) -> Outcome:
        """Our process only starts the run; the one that works on it is killed, and another goes on.

        Our mesh runs on an Oban that serves no queue, so that nobody else can take the steps.
        """
        say = self.progress.say
        async with (
            assembled(self.dsn, queues={}) as app,
            app.oban,
            app.mesh,
            asyncio.TaskGroup() as tasks,
        ):
            async with worker(WORKER, self.dsn) as doomed:
                run = await self._start(app.mesh, scenario)
                watching = tasks.create_task(self._watch(app.mesh, scenario, run))
                await self._first_post(scenario)
                self.progress.show(scenario.title, await app.mesh.inspect_run(run.id))
                doomed.kill()
                say(f"Worker {doomed.pid} is killed while it waits for Discord's answer.")
                say(DEATH)
            async with worker(WORKER, self.dsn) as heir:
                say(f"Worker {heir.pid} is up.")
                details = await watching
            return await self._outcome(app, scenario, details)

    async def _play(self, mesh: Mesh, scenario: Scenario) -> RunDetails:
        return await self._watch(mesh, scenario, await self._start(mesh, scenario))

    async def _run_of(self, mesh: Mesh, window: datetime) -> Run:
        """The run of a window that is due, as soon as it is there. Raises `TimeoutError`."""
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while True:
                page = await mesh.list_runs(workflow=PostDailyDigest, trigger="daily_digest")
                for run in page.runs:
                    if run.window == window:
                        return run
                await asyncio.sleep(GLANCE.total_seconds())

    async def _start(self, mesh: Mesh, scenario: Scenario) -> Run:
        payload = DigestPayload(
            feed_url=scenario.feed_url,
            discord_webhook_url=scenario.webhook_url,
            posted_on=datetime.now(UTC).date().isoformat(),
        )
        return await mesh.start_run(PostDailyDigest, payload, trigger="by_hand")

    async def _watch(self, mesh: Mesh, scenario: Scenario, run: Run) -> RunDetails:
        """See a run to its end, or for as long as patience lasts."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE.total_seconds()):
                while run.ended_at is None:
                    self.progress.show(scenario.title, run)
                    try:
                        run = await mesh.wait_for_run(run.id, timeout=GLANCE)
                    except WaitTimeout as still:
                        run = still.run
        self.progress.show(scenario.title, run)
        return await mesh.inspect_run(run.id, include_history=True)

    async def _first_post(self, scenario: Scenario) -> None:
        """Wait until a step is in the middle of its post, or for as long as patience lasts."""
        post = asyncio.wrap_future(self.webhook.first_post_to(scenario.webhook))
        with suppress(TimeoutError):
            await asyncio.wait_for(post, PATIENCE.total_seconds())

    async def _outcome(self, app: Application, scenario: Scenario, details: RunDetails) -> Outcome:
        posts = self.webhook.posts_to(scenario.webhook)
        return Outcome(scenario, details, posts, await _delivery(app, details))


async def _delivery(app: Application, details: RunDetails) -> FailedDelivery | None:
    completed = {row.step for row in details.step_runs if row.status == "completed"}
    if "record_failed_delivery" not in completed:
        return None
    return await app.deliveries.find(details.output(PostDailyDigest.record_failed_delivery))
