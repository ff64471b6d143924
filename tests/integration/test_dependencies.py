"""Dependency workflows: joins, fan-outs, and failures beside steps under way."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from squid_mesh import (
    Exponential,
    Mesh,
    NoPayload,
    Payload,
    Retry,
    StepError,
    Workflow,
    log,
    resource,
    step,
    wait,
)
from tests.clock import every
from tests.conformance import conforms
from tests.meshes import (
    QUEUE,
    Probe,
    Workflows,
    ended,
    eventually,
    history,
    message_of,
    on_host,
    play,
    statuses,
)


class Numbers(Payload):
    left: int
    right: int


@dataclass
class Gates:
    """Holds bodies by name, until the test opens their gate."""

    begun: dict[str, asyncio.Event] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)

    def has_begun(self, name: str) -> asyncio.Event:
        return self.begun.setdefault(name, asyncio.Event())

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    async def hold(self, name: str) -> None:
        self.has_begun(name).set()
        await self.gate(name).wait()


async def held(gates: Gates, name: str, value: int) -> int:
    await gates.hold(name)
    return value


async def held_failure(gates: Gates, name: str) -> int:
    await gates.hold(name)
    raise StepError(f"{name} broke")


async def add(left: int, right: int) -> int:
    return left + right


def identity(value: int) -> int:
    return value


async def total(values: list[int]) -> int:
    return sum(values)


async def note(probe: Probe, what: str) -> None:
    probe.note(what)


class Join(Workflow[Numbers]):
    left = step(held).takes(resource(Gates), "left", value=Numbers.left)
    right = step(held).takes(resource(Gates), "right", value=Numbers.right)
    both = step(add).takes(left.output, right.output)


class Diamond(Workflow[Numbers]):
    root = step(identity).takes(Numbers.left)
    left = step(add).takes(root.output, 10)
    right = step(add).takes(root.output, 20)
    both = step(add).takes(left.output, right.output)


async def seen_by_nobody() -> Any:
    return {"by": []}


async def look(seen: Any, name: str) -> list[str]:
    seen["by"].append(name)
    names: list[str] = seen["by"]
    return names


class Shared(Workflow[NoPayload]):
    root = step(seen_by_nobody).takes()
    a = step(look).takes(root.output, "a")
    b = step(look).takes(root.output, "b")
    c = step(look).takes(root.output, "c")
    d = step(look).takes(root.output, "d")


class Ordered(Workflow[NoPayload]):
    first = step(note).takes(resource(Probe), "first")
    announce = log("between", after=[first])
    second = step(note, after=[announce]).takes(resource(Probe), "second")


class Wide(Workflow[Numbers]):
    root = step(identity).takes(Numbers.left)
    b0 = step(add).takes(root.output, 0)
    b1 = step(add).takes(root.output, 1)
    b2 = step(add).takes(root.output, 2)
    b3 = step(add).takes(root.output, 3)
    b4 = step(add).takes(root.output, 4)
    b5 = step(add).takes(root.output, 5)
    b6 = step(add).takes(root.output, 6)
    b7 = step(add).takes(root.output, 7)
    b8 = step(add).takes(root.output, 8)
    b9 = step(add).takes(root.output, 9)
    b10 = step(add).takes(root.output, 10)
    b11 = step(add).takes(root.output, 11)
    b12 = step(add).takes(root.output, 12)
    b13 = step(add).takes(root.output, 13)
    b14 = step(add).takes(root.output, 14)
    b15 = step(add).takes(root.output, 15)
    b16 = step(add).takes(root.output, 16)
    b17 = step(add).takes(root.output, 17)
    b18 = step(add).takes(root.output, 18)
    b19 = step(add).takes(root.output, 19)
    summed = step(total).takes(
        [
            *(b0.output, b1.output, b2.output, b3.output, b4.output, b5.output, b6.output),
            *(b7.output, b8.output, b9.output, b10.output, b11.output, b12.output, b13.output),
            *(b14.output, b15.output, b16.output, b17.output, b18.output, b19.output),
        ]
    )


class Breaking(Workflow[Numbers]):
    """`broken` fails while `slow` runs and `asleep` sleeps; `done` has ended before."""

    done = step(identity).takes(Numbers.left)
    slow = step(held).takes(resource(Gates), "slow", value=Numbers.left)
    broken = step(held_failure).takes(resource(Gates), "broken")
    asleep = wait(timedelta(days=1))
    joined = step(add).takes(slow.output, broken.output)


class TwoBroken(Workflow[NoPayload]):
    one = step(held_failure).takes(resource(Gates), "one")
    two = step(held_failure).takes(resource(Gates), "two")
    after = step(add).takes(one.output, two.output)


class RetryBesideFailure(Workflow[NoPayload]):
    one = step(held_failure).takes(resource(Gates), "one")
    two = step(
        held_failure, retry=Retry(3, Exponential(timedelta(days=1), timedelta(days=1)))
    ).takes(resource(Gates), "two")


WORKFLOWS: Workflows = [
    Join,
    Diamond,
    Shared,
    Ordered,
    Wide,
    Breaking,
    TwoBroken,
    RetryBesideFailure,
]


@pytest.fixture
def gates() -> Gates:
    return Gates()


@pytest.fixture
async def mesh(dsn: str, gates: Gates, probe: Probe) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS, resources=[gates, probe]) as mesh:
        yield mesh


async def reaches(mesh: Mesh, run_id: UUID, step_name: str, status: str) -> None:
    """Wait until a step stands there."""

    async def there() -> bool:
        return statuses(await history(mesh, run_id))[step_name] == status

    await eventually(there)


@conforms("S108", "S111", "S113", "S114", "S153", "S154")
@pytest.mark.parametrize("order", [("left", "right"), ("right", "left")])
async def test_a_join_starts_when_the_last_dependency_has_completed(
    mesh: Mesh, gates: Gates, order: tuple[str, str]
) -> None:
    first, last = order
    run = await mesh.start_run(Join, Numbers(left=1, right=2))
    await gates.has_begun(first).wait()
    await gates.has_begun(last).wait()

    gates.gate(first).set()
    await reaches(mesh, run.id, first, "completed")
    between = await history(mesh, run.id)
    gates.gate(last).set()
    after = await ended(mesh, run.id)

    assert statuses(between) == {first: "completed", last: "running", "both": "waiting"}
    assert between.status == "running"
    assert between.current_steps == (last,)
    assert after.output(Join.both) == 3
    assert [state.depends_on for state in after.steps] == [(), (), ("left", "right")]


@conforms("S111")
async def test_a_diamond_joins_what_it_split(mesh: Mesh) -> None:
    run = await play(mesh, Diamond, Numbers(left=1, right=0))
    assert run.output(Diamond.both) == 32


@pytest.mark.parametrize("places", [1, 10])
async def test_what_a_sibling_does_to_its_input_is_its_own_affair(dsn: str, places: int) -> None:
    """They are claimed together or taken along, and are given what was read once."""
    async with on_host(dsn, [Shared], queues={QUEUE: places}) as mesh:
        run = await play(mesh, Shared)
    assert run.output(Shared.root) == {"by": []}
    assert {name: run.context[name] for name in "abcd"} == {name: [name] for name in "abcd"}


async def test_order_without_data_is_kept(mesh: Mesh, probe: Probe) -> None:
    run = await play(mesh, Ordered)
    assert run.status == "completed"
    assert probe.calls == ["first", "second"]


async def test_a_fan_out_of_twenty_is_joined(mesh: Mesh) -> None:
    runs = await asyncio.gather(*(play(mesh, Wide, Numbers(left=n, right=0)) for n in range(5)))
    assert [run.output(Wide.summed) for run in runs] == [20 * n + 190 for n in range(5)]


@conforms("S110", "S114", "S115")
async def test_a_failure_cancels_what_has_not_begun(mesh: Mesh, gates: Gates, dsn: str) -> None:
    run = await mesh.start_run(Breaking, Numbers(left=1, right=2))
    await gates.has_begun("slow").wait()
    await reaches(mesh, run.id, "asleep", "scheduled")
    await reaches(mesh, run.id, "done", "completed")
    gates.gate("broken").set()
    await reaches(mesh, run.id, "broken", "failed")

    details = await history(mesh, run.id)
    assert statuses(details) == {
        "done": "completed",
        "slow": "running",
        "broken": "failed",
        "asleep": "cancelled",
        "joined": "cancelled",
    }
    assert details.status == "running"
    assert details.current_steps == ("slow",)
    assert await every(dsn, "select 1 from oban_jobs where state = 'scheduled'") == []


@conforms("S115")
async def test_a_failed_run_ends_when_its_last_body_has(mesh: Mesh, gates: Gates) -> None:
    run = await mesh.start_run(Breaking, Numbers(left=1, right=2))
    await gates.has_begun("slow").wait()
    gates.gate("broken").set()
    await reaches(mesh, run.id, "broken", "failed")
    gates.gate("slow").set()

    details = await ended(mesh, run.id)
    assert details.status == "failed"
    assert message_of(details) == "broken broke"
    assert statuses(details)["slow"] == "completed"
    assert details.output(Breaking.slow) == 1


@conforms("S116")
@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
async def test_the_first_failure_is_the_run_s(
    mesh: Mesh, gates: Gates, order: tuple[str, str]
) -> None:
    first, last = order
    run = await mesh.start_run(TwoBroken)
    await gates.has_begun(last).wait()
    gates.gate(first).set()
    await reaches(mesh, run.id, first, "failed")
    gates.gate(last).set()

    details = await ended(mesh, run.id)
    assert details.status == "failed"
    assert message_of(details) == f"{first} broke"
    assert statuses(details) == {"one": "failed", "two": "failed", "after": "cancelled"}


@conforms("S116")
async def test_two_failures_at_once_fail_the_run_once(mesh: Mesh, gates: Gates) -> None:
    for _ in range(10):
        gates.gate("one").clear()
        gates.gate("two").clear()
        gates.has_begun("one").clear()
        gates.has_begun("two").clear()
        run = await mesh.start_run(TwoBroken)
        await gates.has_begun("one").wait()
        await gates.has_begun("two").wait()
        gates.gate("one").set()
        gates.gate("two").set()
        details = await ended(mesh, run.id)
        assert details.status == "failed"
        assert statuses(details) == {"one": "failed", "two": "failed", "after": "cancelled"}


@conforms("S57", "S116", "S122")
async def test_nothing_is_tried_again_in_a_run_that_fails(mesh: Mesh, gates: Gates) -> None:
    run = await mesh.start_run(RetryBesideFailure)
    await gates.has_begun("two").wait()
    gates.gate("one").set()
    await reaches(mesh, run.id, "one", "failed")
    gates.gate("two").set()

    details = await ended(mesh, run.id)
    assert details.status == "failed"
    assert statuses(details) == {"one": "failed", "two": "failed"}
    assert message_of(details) == "one broke"


async def test_a_retry_that_was_due_is_cancelled_by_a_failure(
    mesh: Mesh, gates: Gates, dsn: str
) -> None:
    run = await mesh.start_run(RetryBesideFailure)
    await gates.has_begun("one").wait()
    gates.gate("two").set()
    await reaches(mesh, run.id, "two", "scheduled")
    gates.gate("one").set()

    details = await ended(mesh, run.id)
    assert details.status == "failed"
    assert statuses(details) == {"one": "failed", "two": "cancelled"}
    assert await every(dsn, "select 1 from oban_jobs where state = 'scheduled'") == []
