"""Meshes for integration tests, and how a test looks at what they do."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from oban import Oban
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from squid_mesh import ENDED, Mesh, Payload, Run, RunDetails, RunStatus, StepState, Workflow

BOUND = timedelta(seconds=40)
"""How long a test waits for what must come: far more than it takes."""

SHORT = timedelta(seconds=0.2)
"""How long a closing mesh waits for what a test left unfinished. An application gives it longer."""

QUEUE = "squid_mesh"

type Workflows = Sequence[type[Workflow[Any]]]


async def eventually(
    condition: Callable[[], Awaitable[object]], *, within: timedelta = BOUND
) -> None:
    """Wait until `condition` holds: the only poll of these tests."""
    async with asyncio.timeout(within.total_seconds()):
        while not await condition():  # noqa: ASYNC110  # nobody tells when a database changes
            await asyncio.sleep(0.01)


@asynccontextmanager
async def own_pool(dsn: str, **options: Any) -> AsyncGenerator[AsyncConnectionPool[Any]]:
    """A host's pool."""
    sizes: dict[str, Any] = {"min_size": 1, "max_size": 10}
    async with AsyncConnectionPool[AsyncConnection[Any]](
        dsn, open=False, **(sizes | options)
    ) as pool:
        yield pool


@asynccontextmanager
async def on_host(
    dsn: str,
    workflows: Workflows,
    *,
    queues: Mapping[str, int] | None = None,
    pool: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncGenerator[Mesh]:
    """A mesh on a host's own pool and Oban, as an application has them. `pool` are its options."""
    options.setdefault("grace", SHORT)
    async with own_pool(dsn, **(pool or {})) as hosts:
        oban = oban_on(hosts, queues)
        mesh = Mesh(hosts, oban=oban, workflows=workflows, **options)
        async with oban, mesh:
            yield mesh


def oban_on(pool: AsyncConnectionPool[Any], queues: Mapping[str, int] | None = None) -> Oban:
    """A host's Oban, which looks for due jobs often, as tests have no second to lose."""
    limits: dict[str, Any] = dict({QUEUE: 10} if queues is None else queues)
    return Oban(
        pool=pool,
        name=f"host_{uuid4().hex}",
        queues=limits,
        stager={"interval": 0.05},
        shutdown_grace_period=SHORT.total_seconds(),
    )


async def ended(mesh: Mesh, run_id: UUID, *, until: frozenset[RunStatus] = ENDED) -> RunDetails:
    """A run with its history, once it has ended."""
    await mesh.wait_for_run(run_id, until=until, timeout=BOUND)
    return await history(mesh, run_id)


async def history(mesh: Mesh, run_id: UUID) -> RunDetails:
    """A run with its history, as it is."""
    details = await mesh.inspect_run(run_id, include_history=True)
    assert isinstance(details, RunDetails)
    return details


async def play[T: Payload](
    mesh: Mesh, workflow: type[Workflow[T]], payload: T | Mapping[str, Any] | None = None
) -> RunDetails:
    """Start a run and see it to its end."""
    run = await mesh.start_run(workflow, payload)
    return await ended(mesh, run.id)


def step_of(run: RunDetails, name: str) -> StepState:
    """One declared step of a run."""
    return next(state for state in run.steps if state.step == name)


def statuses(run: RunDetails) -> dict[str, str]:
    """Where each declared step stands."""
    return {state.step: str(state.status) for state in run.steps}


def message_of(run: Run) -> str:
    """What a failed run's error says."""
    assert run.error is not None, f"run {run.id} has no error"
    return run.error.message


@dataclass(slots=True)
class Probe:
    """A resource that tells a test what bodies did, and lets it hold them."""

    calls: list[str] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, what: str) -> None:
        """Remember that a body did something."""
        self.calls.append(what)

    async def hold(self, what: str) -> None:
        """Remember that a body began, and keep it until the test opens the gate."""
        self.calls.append(what)
        self.begun.set()
        await self.gate.wait()

    async def has_begun(self, count: int) -> None:
        """Wait until so many bodies have begun."""

        async def are() -> bool:
            return len(self.calls) >= count

        await eventually(are)
