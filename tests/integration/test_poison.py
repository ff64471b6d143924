"""Bodies that do harm: only their own run suffers, and says what it was."""

import asyncio
import gc
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from squid_mesh import (
    Mesh,
    NoPayload,
    Payload,
    Retry,
    RetryLater,
    StepError,
    Workflow,
    resource,
    step,
)
from tests.meshes import (
    QUEUE,
    Probe,
    Workflows,
    ended,
    eventually,
    message_of,
    on_host,
    play,
    step_of,
)

# -- what it returns


class Sized(Payload):
    megabytes: int


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


async def huge(megabytes: int) -> str:
    return "x" * megabytes * 1_000_000


async def endless() -> Any:
    return circle()


async def bottomless() -> Any:
    return deep(100_000)


async def just_too_deep() -> Any:
    return deep(1_000)


class Huge(Workflow[Sized]):
    work = step(huge, retry=Retry(3)).takes(Sized.megabytes)


class Endless(Workflow[NoPayload]):
    work = step(endless, retry=Retry(3)).takes()


class Bottomless(Workflow[NoPayload]):
    work = step(bottomless, retry=Retry(3)).takes()


class JustTooDeep(Workflow[NoPayload]):
    work = step(just_too_deep, retry=Retry(3)).takes()


# -- what it raises


class OfItsOwn(BaseException):
    """No Exception, so that careless handlers let it through."""


class Evil:
    """Whoever looks at it gets into trouble."""

    def __repr__(self) -> str:
        raise OfItsOwn

    __str__ = __repr__


class Recursive(Exception):
    def __str__(self) -> str:
        return str(self)


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1) + 1


def error(**options: Any) -> Callable[[], StepError]:
    return lambda: StepError("odd", **options)


HARMS: dict[str, tuple[Callable[[], Any], str]] = {
    "recursion": (recurse, "maximum recursion depth exceeded"),
    "a recursive text": (Recursive, "Recursive (its text can't be shown)"),
    "an evil code": (error(code=Evil()), "odd"),
    "evil details": (error(details={"a": Evil()}), "odd"),
    "endless details": (error(details={"a": circle()}), "odd"),
    "bottomless details": (error(details={"a": deep(100_000)}), "odd"),
    "huge details": (error(details={"a": "x" * 50_000_000}), "odd"),
    "an evil argument": (lambda: ValueError(Evil()), "ValueError (its text can't be shown)"),
    "never": (lambda: RetryLater(timedelta.max), "asked to be tried again after"),
}
"""What a body raises, and what its run tells of it."""


@dataclass
class Harm:
    """What a body is to do, and what it has left."""

    what: str = ""
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def do(self) -> None:
        make, _ = HARMS[self.what]
        raise make()


async def harm_on_loop(harm: Harm) -> None:
    harm.do()


def harm_in_thread(harm: Harm) -> None:
    harm.do()


class HarmOnLoop(Workflow[NoPayload]):
    work = step(harm_on_loop).takes(resource(Harm))


class HarmInThread(Workflow[NoPayload]):
    work = step(harm_in_thread).takes(resource(Harm))


# -- what it leaves behind


async def leaks_tasks(harm: Harm) -> str:
    async def forever() -> None:
        await asyncio.Event().wait()

    async def fails() -> None:
        raise ValueError("nobody waits for this")

    harm.tasks += [asyncio.create_task(forever()) for _ in range(100)]
    asyncio.create_task(fails())  # noqa: RUF006  # that it is lost is the point
    return "leaked"


async def cancels_its_task() -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)
    return "not reached"


async def ids() -> Any:
    return {"ids": [1, 2, 3]}


async def spoils(found: Any, constant: Any, probe: Probe) -> None:
    probe.note(f"{found} {constant}")
    found["ids"].clear()
    constant.clear()


async def looks(found: Any, constant: Any) -> Any:
    return [found, constant]


class Leaking(Workflow[NoPayload]):
    work = step(leaks_tasks).takes(resource(Harm))


class CancellingItself(Workflow[NoPayload]):
    work = step(cancels_its_task).takes()


class Spoiling(Workflow[NoPayload]):
    find = step(ids).takes()
    spoil = step(spoils).takes(find.output, ["constant"], resource(Probe))
    look = step(looks, after=[spoil]).takes(find.output, ["constant"])


class Well(Workflow[NoPayload]):
    work = step(ids).takes()


WORKFLOWS: Workflows = [
    *(Huge, Endless, Bottomless, JustTooDeep, HarmOnLoop, HarmInThread),
    *(Leaking, CancellingItself, Spoiling, Well),
]


@pytest.fixture
def harm() -> Harm:
    return Harm()


@pytest.fixture
async def mesh(dsn: str, probe: Probe, harm: Harm) -> AsyncGenerator[Mesh]:
    heartbeat = timedelta(seconds=0.05)
    async with on_host(
        dsn, WORKFLOWS, queues={QUEUE: 3}, resources=[probe, harm], heartbeat=heartbeat
    ) as mesh:
        yield mesh


async def are_others_well(mesh: Mesh) -> bool:
    """Whether runs beside it complete: more than there are places in the queue."""
    runs = await mesh.start_runs(Well, [{}] * 9)
    return {str((await ended(mesh, run.id)).status) for run in runs} == {"completed"}


@pytest.mark.parametrize(
    ("workflow", "told"),
    [
        (Endless, "can't be stored as JSON"),
        (Bottomless, "can't be stored as JSON"),
        (JustTooDeep, "JSON"),
    ],
)
async def test_an_output_without_an_end_is_refused(
    mesh: Mesh, workflow: type[Workflow[NoPayload]], told: str
) -> None:
    run = await play(mesh, workflow)
    assert run.error is not None
    assert (run.error.code, run.error.attempt) == ("invalid_output", 1)
    assert told in run.error.message
    assert len(run.error.message) < 1_000
    assert await are_others_well(mesh)


async def test_an_output_of_a_hundred_megabytes_is_refused(mesh: Mesh) -> None:
    run = await play(mesh, Huge, Sized(megabytes=100))
    assert run.error is not None
    assert run.error.code == "invalid_output"
    assert "100,000,002 bytes" in run.error.message
    assert await are_others_well(mesh)


@pytest.mark.parametrize("what", HARMS)
@pytest.mark.parametrize("workflow", [HarmOnLoop, HarmInThread])
async def test_whatever_is_in_an_error_its_run_tells(
    mesh: Mesh, harm: Harm, workflow: type[Workflow[NoPayload]], what: str
) -> None:
    harm.what = what
    run = await play(mesh, workflow)
    assert run.status == "failed"
    assert HARMS[what][1] in message_of(run)
    assert len(step_of(run, "work").attempts) == 1
    assert await are_others_well(mesh)


async def test_tasks_that_are_left_behind_harm_nobody(
    mesh: Mesh, harm: Harm, caplog: pytest.LogCaptureFixture
) -> None:
    run = await play(mesh, Leaking)
    assert run.context == {"work": "leaked"}
    assert await are_others_well(mesh)
    assert not any(task.done() for task in harm.tasks), "they are their owner's to end"
    for task in harm.tasks:
        task.cancel()

    async def is_told() -> bool:
        gc.collect()
        return "nobody waits for this" in caplog.text

    with caplog.at_level(logging.ERROR, "asyncio"):
        await eventually(is_told)


async def test_a_body_that_cancels_its_own_driver_is_given_up(mesh: Mesh) -> None:
    """Nobody can tell it from the end of the process; so it is interrupted, again and again."""
    run = await play(mesh, CancellingItself)
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.code == "interrupted"
    assert await are_others_well(mesh), "it has taken no place in the queue with it"


async def test_what_a_body_does_to_its_inputs_is_seen_by_nobody_else(
    mesh: Mesh, probe: Probe
) -> None:
    for _ in range(2):
        run = await play(mesh, Spoiling)
        assert run.context["look"] == [{"ids": [1, 2, 3]}, ["constant"]]
    assert probe.calls == ["{'ids': [1, 2, 3]} ['constant']"] * 2
