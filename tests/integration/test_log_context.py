"""What a body logs says of which run, workflow, step and attempt it is."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Generator, MutableMapping
from typing import Any

import pytest
import structlog

from squid_mesh import (
    Mesh,
    NoPayload,
    Retry,
    RetryLater,
    StepContext,
    StepError,
    Workflow,
    complete,
    context,
    log,
    step,
)
from squid_mesh.telemetry import LogContext, logs
from tests.conformance import conforms
from tests.integration.observing import HOUR
from tests.meshes import Workflows, eventually, on_host, play

theirs = logging.getLogger("a.library")
structured: Any = structlog.get_logger()


async def logs_on_the_loop() -> None:
    theirs.warning("on the loop")
    await asyncio.create_task(in_a_task())


async def in_a_task() -> None:
    theirs.warning("in a task")


def logs_in_a_thread() -> None:
    theirs.warning("in a thread of %s", threading.current_thread().name)


async def logs_through_its_context(at: StepContext) -> None:
    at.logger.warning("through the context")


async def says_its_own() -> None:
    theirs.warning("its own", extra={"step": "another"})


async def fails_once(at: StepContext) -> None:
    theirs.warning("attempt")
    if at.attempt == 1:
        raise StepError("no", code="early")


async def logs_structured() -> None:
    structured.warning("structured", step="its own word")


async def broken() -> None:
    raise ValueError("ada@example.com has no account")


async def put_off() -> None:
    raise RetryLater(HOUR)


class Talking(Workflow[NoPayload]):
    loop = step(logs_on_the_loop).takes()
    thread = step(logs_in_a_thread).takes()
    through = step(logs_through_its_context).takes(context)
    own = step(says_its_own).takes()
    said = log("said by the workflow")
    flow = loop >> thread >> through >> own >> said >> complete


class Flaky(Workflow[NoPayload]):
    work = step(fails_once, retry=Retry(2)).takes(context)


class Structured(Workflow[NoPayload]):
    work = step(logs_structured).takes()


class Broken(Workflow[NoPayload]):
    work = step(broken).takes()
    flow = work >> complete


class Routed(Workflow[NoPayload]):
    work = step(broken).takes()
    rescue = step(logs_on_the_loop).takes()
    flow = (work >> complete, work.on_error >> rescue >> complete)


class Later(Workflow[NoPayload]):
    work = step(put_off, retry=Retry(2)).takes()


WORKFLOWS: Workflows = [Talking, Flaky, Structured, Broken, Routed, Later]


class Lines(logging.Handler):
    """A host's handler, with our filter."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(LogContext())
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def facts(self, message: str) -> tuple[object, ...]:
        """What a line carries, but for its run."""
        (record,) = (r for r in self.records if r.getMessage().startswith(message))
        return tuple(getattr(record, name) for name in ("workflow", "step", "attempt"))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Generator[Lines]:
    monkeypatch.setattr(LogContext, "is_made", False)
    root, lines = logging.getLogger(), Lines()
    root.addHandler(lines)
    caplog.set_level(logging.INFO, "squid_mesh")
    yield lines
    root.removeHandler(lines)


@pytest.fixture
async def mesh(dsn: str, lines: Lines) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS) as mesh:
        yield mesh


@conforms("S183")
async def test_any_logger_says_which_step_it_is(mesh: Mesh, lines: Lines) -> None:
    run = await play(mesh, Talking)
    assert lines.facts("on the loop") == ("Talking", "loop", 1)
    assert lines.facts("in a task") == ("Talking", "loop", 1)
    assert lines.facts("in a thread of squid-mesh-step") == ("Talking", "thread", 1)
    assert lines.facts("through the context") == ("Talking", "through", 1)
    assert lines.facts("said by the workflow") == ("Talking", "said", 1)
    told = [r for r in lines.records if r.name in {"a.library", "squid_mesh.step"}]
    assert {vars(record)["run_id"] for record in told} == {str(run.id)}


async def test_what_a_line_says_itself_stands(mesh: Mesh, lines: Lines) -> None:
    await play(mesh, Talking)
    assert lines.facts("its own") == ("Talking", "another", 1)


async def test_each_attempt_says_its_number(mesh: Mesh, lines: Lines) -> None:
    await play(mesh, Flaky)
    attempts = [vars(r)["attempt"] for r in lines.records if r.getMessage() == "attempt"]
    assert attempts == [1, 2]


async def test_lines_of_others_have_nothing(mesh: Mesh, lines: Lines) -> None:
    await play(mesh, Talking)
    theirs.warning("elsewhere")
    assert lines.facts("elsewhere") == (None, None, None)


async def test_a_body_that_has_ended_leaves_no_facts(mesh: Mesh, lines: Lines) -> None:
    await play(mesh, Talking)
    assert logs._current.get() is None


async def test_structlog(mesh: Mesh) -> None:
    seen: list[MutableMapping[str, Any]] = []

    def keep(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        seen.append(dict(event))
        raise structlog.DropEvent

    structlog.configure(processors=[LogContext(), keep])
    try:
        run = await play(mesh, Structured)
        structured.warning("elsewhere")
    finally:
        structlog.reset_defaults()
    of_run = {"run_id": str(run.id), "workflow": "Structured", "attempt": 1}
    assert seen == [
        {"event": "structured", "step": "its own word"} | of_run,
        {"event": "elsewhere"},
    ]


async def test_nothing_is_kept_unless_a_log_context_was_made(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enter(facts: object) -> None:
        raise AssertionError(facts)

    monkeypatch.setattr(LogContext, "is_made", False)
    monkeypatch.setattr(logs, "enter", enter)
    async with on_host(dsn, WORKFLOWS) as mesh:
        assert (await play(mesh, Talking)).status == "completed"


# what the engine says of a failure


@conforms("S183")
async def test_a_failure_is_logged_with_what_follows(mesh: Mesh, lines: Lines) -> None:
    run = await play(mesh, Flaky)
    said = f"step work of run {run.id} failed in attempt 1 with StepError (early)"
    assert lines.facts(f"{said}: it is tried again in 0 s") == ("Flaky", "work", 1)


@pytest.mark.parametrize(
    ("workflow", "follows", "level"),
    [
        (Broken, "its run is failed", logging.WARNING),
        (Routed, "its run goes on along its error route", logging.WARNING),
    ],
)
async def test_a_failure_for_good_is_a_warning_without_its_text(
    mesh: Mesh, lines: Lines, workflow: type[Workflow[Any]], follows: str, level: int
) -> None:
    run = await play(mesh, workflow)
    (record,) = (r for r in lines.records if " failed in attempt " in r.getMessage())
    assert record.getMessage() == (
        f"step work of run {run.id} failed in attempt 1 with ValueError: {follows}"
    )
    assert record.levelno == level
    assert vars(record)["run_id"] == str(run.id)


async def test_a_step_that_is_put_off_is_no_warning(mesh: Mesh, lines: Lines) -> None:
    run = await mesh.start_run(Later)

    async def is_said() -> bool:
        return any(f"of run {run.id} failed" in r.getMessage() for r in lines.records)

    await eventually(is_said)
    (record,) = (r for r in lines.records if f"of run {run.id} failed" in r.getMessage())
    assert record.levelno == logging.INFO
    assert record.getMessage().endswith("(retry_later): it is tried again in 3600 s")
