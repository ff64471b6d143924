"""Transition workflows: chains, branches, merges and error routes, driven to their end."""

from collections.abc import AsyncGenerator
from enum import Enum, StrEnum
from typing import Literal

import pytest

from squid_mesh import (
    Mesh,
    Payload,
    RunDetails,
    StepError,
    StepFailure,
    Workflow,
    complete,
    optional,
    step,
)
from tests.clock import every
from tests.conformance import conforms
from tests.meshes import Workflows, message_of, on_host, play, statuses, step_of


class Order(Payload):
    amount: int
    note: str = "none"


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Size(Enum):
    SMALL = 1
    LARGE = 2


async def double(amount: int) -> int:
    return 2 * amount


def add_one(amount: int) -> int:
    return amount + 1


async def say(text: str) -> str:
    return text


async def risk(amount: int) -> Literal["low", "medium", "high"]:
    return "low" if amount < 10 else "medium" if amount < 100 else "high"


async def is_large(amount: int) -> bool:
    return amount > 10


async def colour(amount: int) -> Colour:
    return Colour.RED if amount > 10 else Colour.GREEN


def size(amount: int) -> Size:
    return Size.LARGE if amount > 10 else Size.SMALL


async def summary(low: str | None, high: str | None) -> list[str | None]:
    return [low, high]


async def decline(amount: int) -> str:
    raise StepError(f"declined {amount}", code="card", details={"amount": amount}, retryable=False)


async def explain(failure: StepFailure, message: str, code: str | None) -> dict[str, object]:
    return {
        "type": failure.type,
        "message": message,
        "code": code,
        "details": failure.details,
        "attempt": failure.attempt,
    }


class Chain(Workflow[Order]):
    first = step(double).takes(amount=Order.amount)
    second = step(add_one).takes(first.output)
    third = step(double).takes(second.output)
    flow = first >> second >> third >> complete


class ByLiteral(Workflow[Order]):
    triage = step(risk).takes(Order.amount)
    low = step(say).takes("low")
    rest = step(say).takes("rest")
    flow = (triage.when("low") >> low >> complete, triage >> rest >> complete)


class ByBool(Workflow[Order]):
    ask = step(is_large).takes(Order.amount)
    yes = step(say).takes("yes")
    no = step(say).takes("no")
    flow = (
        ask.when(True) >> yes >> complete,  # noqa: FBT003  # the output's value
        ask.when(False) >> no >> complete,  # noqa: FBT003
    )


class ByText(Workflow[Order]):
    ask = step(colour).takes(Order.amount)
    red = step(say).takes("red")
    green = step(say).takes("green")
    flow = (ask.when(Colour.RED) >> red >> complete, ask.when(Colour.GREEN) >> green >> complete)


class ByNumber(Workflow[Order]):
    ask = step(size).takes(Order.amount)
    small = step(say).takes("small")
    flow = (ask.when(Size.SMALL) >> small >> complete, ask.when(Size.LARGE) >> complete)


class Merge(Workflow[Order]):
    triage = step(is_large).takes(Order.amount)
    low = step(say).takes("was low")
    high = step(say).takes("was high")
    sum_up = step(summary).takes(low=optional(low.output), high=optional(high.output))
    flow = (
        triage.when(False) >> low >> sum_up >> complete,  # noqa: FBT003
        triage.when(True) >> high >> sum_up,  # noqa: FBT003
    )


class WithRoute(Workflow[Order]):
    pay = step(decline).takes(Order.amount)
    tell = step(explain).takes(pay.error, message=pay.error.message, code=pay.error.code)
    receipt = step(say).takes("paid")
    flow = (pay >> receipt >> complete, pay.on_error >> tell >> complete)


class WithRouteOut(Workflow[Order]):
    pay = step(decline).takes(Order.amount)
    receipt = step(say).takes("paid")
    flow = (pay >> receipt >> complete, pay.on_error >> complete)


class Unrouted(Workflow[Order]):
    before = step(say).takes(Order.note)
    pay = step(decline).takes(Order.amount)
    receipt = step(say).takes("paid")
    flow = before >> pay >> receipt >> complete


WORKFLOWS: Workflows = [
    *(Chain, ByLiteral, ByBool, ByText, ByNumber, Merge),
    *(WithRoute, WithRouteOut, Unrouted),
]


@pytest.fixture
async def mesh(dsn: str) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS) as mesh:
        yield mesh


def taken(run: RunDetails) -> list[str]:
    return [state.step for state in run.steps if state.status == "completed"]


@conforms("S85", "S92")
async def test_a_chain_hands_each_output_to_the_next_step(mesh: Mesh) -> None:
    run = await play(mesh, Chain, Order(amount=5))

    assert run.status == "completed"
    assert run.context == {"first": 10, "second": 11, "third": 22}
    assert run.output(Chain.third) == 22
    assert run.current_steps == ()
    assert run.error is None
    assert run.ended_at is not None
    assert [state.step for state in run.step_runs] == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("workflow", "amount", "way"),
    [
        (ByLiteral, 5, ["triage", "low"]),
        (ByLiteral, 50, ["triage", "rest"]),
        (ByLiteral, 500, ["triage", "rest"]),
        (ByBool, 50, ["ask", "yes"]),
        (ByBool, 5, ["ask", "no"]),
        (ByText, 50, ["ask", "red"]),
        (ByText, 5, ["ask", "green"]),
        (ByNumber, 5, ["ask", "small"]),
        (ByNumber, 50, ["ask"]),
    ],
)
async def test_a_branch_is_taken_by_the_output(
    mesh: Mesh, workflow: type[Workflow[Order]], amount: int, way: list[str]
) -> None:
    run = await play(mesh, workflow, Order(amount=amount))

    assert run.status == "completed"
    assert taken(run) == way
    assert {s for name, s in statuses(run).items() if name not in way} <= {"skipped"}


@conforms("S87")
@pytest.mark.parametrize(("amount", "merged"), [(5, ["was low", None]), (50, [None, "was high"])])
async def test_a_merge_gets_none_for_the_branch_that_was_not_taken(
    mesh: Mesh, amount: int, merged: list[str | None]
) -> None:
    run = await play(mesh, Merge, Order(amount=amount))
    assert run.output(Merge.sum_up) == merged


@conforms("S95")
async def test_an_error_route_is_handed_the_error(mesh: Mesh) -> None:
    run = await play(mesh, WithRoute, Order(amount=7))

    assert run.status == "completed"
    assert run.error is None
    assert statuses(run) == {"pay": "failed", "tell": "completed", "receipt": "skipped"}
    assert run.output(WithRoute.tell) == {
        "type": "StepError",
        "message": "declined 7",
        "code": "card",
        "details": {"amount": 7},
        "attempt": 1,
    }


@conforms("S96")
async def test_an_error_route_may_lead_out(mesh: Mesh) -> None:
    run = await play(mesh, WithRouteOut, Order(amount=7))

    assert run.status == "completed"
    assert statuses(run) == {"pay": "failed", "receipt": "skipped"}
    failure = step_of(run, "pay").error
    assert failure is not None
    assert failure.message == "declined 7"


@conforms("S69", "S93")
async def test_a_failure_without_a_route_fails_the_run(mesh: Mesh) -> None:
    run = await play(mesh, Unrouted, Order(amount=7))

    assert run.status == "failed"
    assert message_of(run) == "declined 7"
    assert run.error is not None
    assert (run.error.step, run.error.attempt, run.error.code) == ("pay", 1, "card")
    assert statuses(run) == {"before": "completed", "pay": "failed", "receipt": "skipped"}
    assert run.current_steps == ()


@conforms("S93")
async def test_a_finished_run_leaves_no_job_behind(mesh: Mesh, dsn: str) -> None:
    for workflow in (Chain, Merge, WithRoute, Unrouted):
        await play(mesh, workflow, Order(amount=5))
    left = await every(dsn, "select state, args from oban_jobs where state <> 'completed'")
    assert left == []
