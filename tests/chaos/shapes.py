"""Runs of every shape, and what each must come to. Bodies write down that they began."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import new_class
from typing import Any, Literal

from psycopg import AsyncConnection, Connection

from squid_mesh import (
    Constant,
    Decision,
    Payload,
    Retry,
    StepContext,
    StepError,
    Window,
    Workflow,
    approval,
    complete,
    connection,
    context,
    cron,
    log,
    pause,
    resource,
    step,
    wait,
)
from tests.chaos.ledger import Ledger, effect, effect_in_thread
from tests.meshes import Workflows

PLANNED = "as planned"
"""What a failure says that a body was told to have."""

OTHER = "other"
"""A second queue."""


class Task(Payload):
    """What a run is told: how long its bodies take, what breaks, which way it goes."""

    number: int
    milliseconds: int = 5
    breaks: int = 0
    """How often a step breaks before it works."""
    way: Literal["left", "right"] = "left"
    naps: timedelta = timedelta(seconds=0.1)
    deadline: timedelta = timedelta(days=30)


async def work(at: StepContext, ledger: Ledger, milliseconds: int) -> str:
    await ledger.begin(at)
    await asyncio.sleep(milliseconds / 1000)
    return at.step


def work_in_thread(at: StepContext, ledger: Ledger, milliseconds: int) -> str:
    ledger.begin_in_thread(at)
    time.sleep(milliseconds / 1000)
    return at.step


async def choose(
    at: StepContext, ledger: Ledger, way: Literal["left", "right"]
) -> Literal["left", "right"]:
    await ledger.begin(at)
    return way


async def break_first(at: StepContext, ledger: Ledger, breaks: int) -> str:
    await ledger.begin(at)
    if at.attempt <= breaks:
        raise StepError(PLANNED)
    return at.step


async def break_for_good(at: StepContext, ledger: Ledger) -> str:
    await ledger.begin(at)
    raise StepError(PLANNED, retryable=False)


async def add_up(at: StepContext, ledger: Ledger, parts: list[str]) -> str:
    await ledger.begin(at)
    return "+".join(parts)


async def judge(at: StepContext, ledger: Ledger, decision: Decision) -> str:
    await ledger.begin(at)
    return decision.decision


async def pay(
    at: StepContext, ledger: Ledger, conn: AsyncConnection[Any], milliseconds: int, breaks: int
) -> str:
    await ledger.begin(at)
    await effect(at, conn)
    await asyncio.sleep(milliseconds / 1000)
    if at.attempt <= breaks:
        raise StepError(PLANNED)
    return at.step


def pay_in_thread(at: StepContext, ledger: Ledger, conn: Connection[Any], milliseconds: int) -> str:
    ledger.begin_in_thread(at)
    effect_in_thread(at, conn)
    time.sleep(milliseconds / 1000)
    return at.step


class Chain(Workflow[Task]):
    a = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    b = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    c = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    said = log("half of it", level="debug")
    d = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    e = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    flow = a >> b >> c >> said >> d >> e >> complete


class Branch(Workflow[Task]):
    decide = step(choose).takes(context, resource(Ledger), way=Task.way)
    left = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    right = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    last = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    flow = (
        decide.when("left") >> left >> last >> complete,
        decide.when("right") >> right >> last,
    )


class Join(Workflow[Task]):
    root = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    x0 = step(work, after=[root]).takes(context, resource(Ledger), milliseconds=1)
    x1 = step(work, after=[root]).takes(context, resource(Ledger), milliseconds=2)
    x2 = step(work_in_thread, after=[root]).takes(context, resource(Ledger), milliseconds=1)
    x3 = step(break_first, after=[root], retry=Retry(4)).takes(
        context, resource(Ledger), breaks=Task.breaks
    )
    end = step(add_up).takes(
        context, resource(Ledger), parts=[x0.output, x1.output, x2.output, x3.output]
    )


def _spread(names: dict[str, Any]) -> None:
    root = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    parts = [
        step(work, after=[root], queue=OTHER).takes(context, resource(Ledger), milliseconds=n % 3)
        for n in range(SPREAD)
    ]
    last = step(work, after=parts).takes(context, resource(Ledger), milliseconds=1)
    names |= {"root": root, "last": last} | {f"p{n}": part for n, part in enumerate(parts)}


SPREAD = 12
"""More siblings than their queue has places: drivers take others along."""

Spread: Any = new_class("Spread", (Workflow[Task],), exec_body=_spread)


class Retried(Workflow[Task]):
    flaky = step(break_first, retry=Retry(4, Constant(timedelta(seconds=0.1)))).takes(
        context, resource(Ledger), breaks=Task.breaks
    )
    last = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    flow = flaky >> last >> complete


class Doomed(Workflow[Task]):
    """A failure for good, beside a step that may complete first or not begin."""

    lost = step(break_for_good).takes(context, resource(Ledger))
    beside = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    both = step(work, after=[lost, beside]).takes(context, resource(Ledger), milliseconds=1)


class Rescued(Workflow[Task]):
    lost = step(break_for_good).takes(context, resource(Ledger))
    never = step(work).takes(context, resource(Ledger), milliseconds=1)
    rescue = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)
    flow = (
        lost >> never >> complete,
        lost.on_error >> rescue >> complete,
    )


class Nap(Workflow[Task]):
    before = step(work).takes(context, resource(Ledger), milliseconds=1)
    nap = wait(Task.naps)
    after = step(work).takes(context, resource(Ledger), milliseconds=1)
    flow = before >> nap >> after >> complete


class Gate(Workflow[Task]):
    before = step(work).takes(context, resource(Ledger), milliseconds=1)
    gate = pause()
    after = step(work).takes(context, resource(Ledger), milliseconds=1)
    flow = before >> gate >> after >> complete


class Review(Workflow[Task]):
    review = approval(deadline=Task.deadline)
    approved = step(judge).takes(context, resource(Ledger), decision=review.output)
    rejected = step(judge).takes(context, resource(Ledger), decision=review.output)
    lapsed = step(work).takes(context, resource(Ledger), milliseconds=1)
    flow = (
        review.on_approved >> approved >> complete,
        review.on_rejected >> rejected >> complete,
        review.on_timeout >> lapsed >> complete,
    )


class Careful(Workflow[Task]):
    """A step that runs once at most, whose interruption has a way of its own."""

    once = step(work, on_interrupt="fail").takes(
        context, resource(Ledger), milliseconds=Task.milliseconds
    )
    went_well = step(work).takes(context, resource(Ledger), milliseconds=1)
    went_wrong = step(work).takes(context, resource(Ledger), milliseconds=1)
    flow = (
        once >> went_well >> complete,
        once.on_error >> went_wrong >> complete,
    )


class Asking(Workflow[Task]):
    """A step that runs once at most, about whose interruption somebody decides."""

    once = step(work, on_interrupt="pause").takes(
        context, resource(Ledger), milliseconds=Task.milliseconds
    )
    last = step(work).takes(context, resource(Ledger), milliseconds=1)
    flow = once >> last >> complete


class TwoQueues(Workflow[Task]):
    here = step(work).takes(context, resource(Ledger), milliseconds=1)
    there = step(work_in_thread, queue=OTHER).takes(
        context, resource(Ledger), milliseconds=Task.milliseconds
    )
    back = step(work).takes(context, resource(Ledger), milliseconds=1)
    flow = here >> there >> back >> complete


class Paying(Workflow[Task]):
    """Steps whose effects commit with their result, between steps whose effects don't."""

    before = step(work).takes(context, resource(Ledger), milliseconds=1)
    pay = step(pay, retry=Retry(4)).takes(
        context,
        resource(Ledger),
        connection(),
        milliseconds=Task.milliseconds,
        breaks=Task.breaks,
    )
    between = step(work).takes(context, resource(Ledger), milliseconds=1)
    pay_in_thread = step(pay_in_thread).takes(
        context, resource(Ledger), connection(), milliseconds=Task.milliseconds
    )
    after = step(work).takes(context, resource(Ledger), milliseconds=1)
    flow = before >> pay >> between >> pay_in_thread >> after >> complete


def of_window(window: Window) -> Task:
    return Task(number=int(window.at.timestamp()) // 60)


class Minutely(Workflow[Task]):
    each = cron(
        "* * * * *", timezone="Europe/Lisbon", payload=of_window, missed="all", max_missed=999
    )
    only = step(work).takes(context, resource(Ledger), milliseconds=Task.milliseconds)


SHAPES: Workflows = [
    Chain,
    Branch,
    Join,
    Spread,
    Retried,
    Doomed,
    Rescued,
    Nap,
    Gate,
    Review,
    Careful,
    Asking,
    TwoQueues,
    Paying,
]
"""What the generator starts."""

WORKFLOWS: Workflows = [*SHAPES, Minutely]


@dataclass(frozen=True, slots=True)
class End:
    """What a run that nobody cancelled must have come to. `either` may have completed or not."""

    completed: Collection[str]
    status: Literal["completed", "failed"] = "completed"
    failed: Collection[str] = ()
    either: Collection[str] = ()

    def problems(self, status: str, steps: Mapping[str, str]) -> Iterator[str]:
        """How a run with this status and these steps is otherwise."""
        if status != self.status:
            yield f"it has {status}"
        expected = dict.fromkeys(self.completed, "completed") | dict.fromkeys(self.failed, "failed")
        for name in {*expected, *steps} - {*self.either}:
            found = steps.get(name, "cancelled")  # what is cancelled hasn't begun, or died
            if found != expected.get(name, "cancelled"):
                yield f"{name} is {found}"


type Ending = Callable[[dict[str, Any], Collection[str]], End]
"""From a run's payload and its audit events, such as "approved review", to its end."""


def _fixed(end: End) -> Ending:
    return lambda _payload, _events: end


def _branch(payload: dict[str, Any], _: Collection[str]) -> End:
    return End(["decide", payload["way"], "last"])


def _review(_: dict[str, Any], events: Collection[str]) -> End:
    ways = {"approved": "approved", "rejected": "rejected", "timed_out": "lapsed"}
    (after,) = (step for decided, step in ways.items() if f"{decided} review" in events)
    return End(["review", after])


def _careful(_: dict[str, Any], events: Collection[str]) -> End:
    if "interrupted once" in events:
        return End(["went_wrong"], failed=["once"])
    return End(["once", "went_well"])


ENDINGS: dict[str, Ending] = {
    "Chain": _fixed(End(["a", "b", "c", "said", "d", "e"])),
    "Branch": _branch,
    "Join": _fixed(End(["root", "x0", "x1", "x2", "x3", "end"])),
    "Spread": _fixed(End(["root", *(f"p{n}" for n in range(SPREAD)), "last"])),
    "Retried": _fixed(End(["flaky", "last"])),
    "Doomed": _fixed(End([], status="failed", failed=["lost"], either=["beside"])),
    "Rescued": _fixed(End(["rescue"], failed=["lost"])),
    "Nap": _fixed(End(["before", "nap", "after"])),
    "Gate": _fixed(End(["before", "gate", "after"])),
    "Review": _review,
    "Careful": _careful,
    "Asking": _fixed(End(["once", "last"])),
    "TwoQueues": _fixed(End(["here", "there", "back"])),
    "Paying": _fixed(End(["before", "pay", "between", "pay_in_thread", "after"])),
    "Minutely": _fixed(End(["only"])),
}

BUILT_IN = {"said", "nap", "gate", "review"}
"""Steps without a body."""

TRANSACTIONAL = {"pay", "pay_in_thread"}
"""Steps whose body writes an effect in their transaction."""
