"""Nothing costs anything when nobody listens: counted in instructions, objects and statements."""

import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from psycopg import AsyncCursor

import squid_mesh.telemetry
from squid_mesh import ENDED, SETTLED, Mesh
from squid_mesh.runtime import surrounding, telling
from squid_mesh.telemetry import LogContext
from tests.integration.observing import WORKFLOWS, Bodies, Flaky, Held, Sdk
from tests.meshes import BOUND, Probe, ended, on_host, play

TOLD = {
    *(str(path) for path in Path(squid_mesh.telemetry.__file__).parent.glob("*.py")),
    str(telling.__file__),
    str(surrounding.__file__),
}
"""Code that is for listeners only."""

RUNS = 20


@pytest.fixture(autouse=True)
def no_log_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogContext, "is_made", False)


@pytest.fixture
async def silent(dsn: str, probe: Probe) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as mesh:
        yield mesh


@pytest.fixture
async def heard(dsn: str, probe: Probe) -> AsyncGenerator[Mesh]:
    observers = [Sdk().instrument()]
    async with on_host(dsn, WORKFLOWS, resources=[probe], observers=observers) as mesh:
        yield mesh


async def several(mesh: Mesh) -> None:
    """Start runs, drive them to their end, decide about some, cancel others."""
    for _ in range(RUNS):
        await play(mesh, Bodies)
    for decide in (mesh.unblock_run, mesh.cancel_run):
        run = await mesh.start_run(Held)
        await mesh.wait_for_run(run.id, until=SETTLED, timeout=BOUND)
        await decide(run.id)
        await ended(mesh, run.id)


@contextmanager
def instructions() -> Generator[Counter[str]]:
    """Bytecode instructions of the listeners' code that are executed meanwhile, by function."""
    counted: Counter[str] = Counter()
    monitoring = sys.monitoring
    tool = monitoring.PROFILER_ID

    def count(code: CodeType, offset: int) -> object:
        if code.co_filename not in TOLD:
            return monitoring.DISABLE
        counted[code.co_qualname] += 1
        return None

    monitoring.use_tool_id(tool, "tests")
    monitoring.register_callback(tool, monitoring.events.INSTRUCTION, count)
    monitoring.set_events(tool, monitoring.events.INSTRUCTION)
    try:
        yield counted
    finally:
        monitoring.set_events(tool, 0)
        monitoring.register_callback(tool, monitoring.events.INSTRUCTION, None)
        monitoring.free_tool_id(tool)


async def test_no_instruction_is_executed_for_nobody(silent: Mesh) -> None:
    with instructions() as counted:
        await several(silent)
    assert counted == Counter()


async def test_such_instructions_are_counted(heard: Mesh) -> None:
    with instructions() as counted:
        await several(heard)
    assert {"Telemetry.tell", "started", "recorded", "surrounded"} <= set(counted)


def allocated(before: tracemalloc.Snapshot, after: tracemalloc.Snapshot) -> int:
    """Objects that the listeners' code has made since, and that are still there."""
    only = [tracemalloc.Filter(inclusive=True, filename_pattern=name) for name in TOLD]
    found = after.filter_traces(only).compare_to(before.filter_traces(only), "filename")
    return sum(statistic.count_diff for statistic in found)


@pytest.mark.parametrize("mesh_of", ["silent", "heard"])
async def test_no_object_is_kept_for_nobody(mesh_of: str, dsn: str, probe: Probe) -> None:
    kept: list[object] = []
    observers = [kept.append] if mesh_of == "heard" else []
    async with on_host(dsn, WORKFLOWS, resources=[probe], observers=observers) as mesh:
        await several(mesh)
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.take_snapshot()
            await several(mesh)
            gc.collect()
            count = allocated(before, tracemalloc.take_snapshot())
        finally:
            tracemalloc.stop()
    assert count > RUNS if mesh_of == "heard" else count == 0


@contextmanager
def statements(monkeypatch: pytest.MonkeyPatch) -> Generator[Counter[str]]:
    """The first words of each statement of ours that is sent meanwhile."""
    sent: Counter[str] = Counter()
    execute = AsyncCursor.execute

    async def counted(self: AsyncCursor[Any], query: Any, *args: Any, **kwargs: Any) -> Any:
        sent[str(query)] += 1
        return await execute(self, query, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(AsyncCursor, "execute", counted)
        yield sent


async def test_a_run_takes_the_same_statements_whoever_listens(
    dsn: str, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every statement of a run, not of the loops: the same texts, as often."""
    sent: list[Counter[str]] = []
    for observers in ([], [Sdk().instrument()]):
        async with on_host(dsn, WORKFLOWS, resources=[probe], observers=observers) as mesh:
            await play(mesh, Flaky)
            with statements(monkeypatch) as counted:
                run = await mesh.start_run(Flaky)
                await mesh._process.waiters.wait(run.id, ENDED, 30)
            texts = mesh._statements
            of_runs = ("start_runs", "claim_steps", "advance_chain", "advance_steps", "get_run")
            sent.append(Counter({name: counted[texts[name]] for name in of_runs}))
    assert sent[0] == sent[1]
    assert sent[0]["start_runs"] == 1
    assert sent[0]["claim_steps"] == 2
    assert sent[0]["advance_steps"] + sent[0]["advance_chain"] == 2
