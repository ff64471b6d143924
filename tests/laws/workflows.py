"""The workflows of the laws, whose bodies write down that they began."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from types import new_class
from typing import Any, Literal

from squid_mesh import (
    Constant,
    NoPayload,
    Payload,
    Retry,
    StepContext,
    StepError,
    Workflow,
    complete,
    context,
    pause,
    resource,
    step,
    wait,
)
from tests.laws.journal import Journal
from tests.meshes import Workflows

TWICE = Retry(2, Constant(timedelta(seconds=0.05)), jitter=False)
LATER = Retry(2, Constant(timedelta(hours=1)), jitter=False)


async def note(at: StepContext, journal: Journal) -> str:
    await journal.begin(at)
    return at.step


async def hold(at: StepContext, journal: Journal) -> str:
    await journal.hold(at)
    return at.step


def stand(at: StepContext, journal: Journal) -> str:
    """A body that blocks its thread."""
    return asyncio.run(_stand(at, journal.dsn))


async def _stand(at: StepContext, dsn: str) -> str:
    async with Journal(dsn) as journal:
        return await hold(at, journal)


async def block(at: StepContext, journal: Journal) -> str:
    await journal.begin(at)
    if at.attempt == 1:
        journal.block(at)
    return at.step


async def number_of(number: int) -> int:
    return number


async def hold_and_break(at: StepContext, journal: Journal) -> str:
    await journal.hold(at)
    raise StepError("it is no use", retryable=False)


async def break_first(at: StepContext, journal: Journal) -> Literal["left", "right"]:
    await journal.begin(at)
    if at.attempt == 1:
        raise StepError("the first time always breaks")
    return "left"


async def break_for_good(at: StepContext, journal: Journal) -> str:
    await journal.begin(at)
    raise StepError("it is no use", retryable=False)


class Chain(Workflow[NoPayload]):
    a = step(note).takes(context, resource(Journal))
    b = step(note).takes(context, resource(Journal))
    c = step(note).takes(context, resource(Journal))
    flow = a >> b >> c >> complete


class Branching(Workflow[NoPayload]):
    """Three steps with a retry and a branch."""

    first = step(note).takes(context, resource(Journal))
    choose = step(break_first, retry=TWICE).takes(context, resource(Journal))
    left = step(note).takes(context, resource(Journal))
    right = step(note).takes(context, resource(Journal))
    flow = (
        first >> choose,
        choose.when("left") >> left >> complete,
        choose.when("right") >> right >> complete,
    )


class Joining(Workflow[NoPayload]):
    """Two ways that come together, one of them after a retry."""

    left = step(note).takes(context, resource(Journal))
    right = step(break_first, retry=TWICE).takes(context, resource(Journal))
    both = step(note, after=[left, right]).takes(context, resource(Journal))


class Rescued(Workflow[NoPayload]):
    """A failure for good, with a route."""

    work = step(break_for_good).takes(context, resource(Journal))
    rescue = step(note).takes(context, resource(Journal))
    never = step(note).takes(context, resource(Journal))
    flow = (
        work >> never >> complete,
        work.on_error >> rescue >> complete,
    )


class Doomed(Workflow[NoPayload]):
    """A failure for good, beside a step that completes."""

    work = step(break_for_good).takes(context, resource(Journal))
    beside = step(note).takes(context, resource(Journal))
    both = step(note, after=[work, beside]).takes(context, resource(Journal))


class Sleeping(Workflow[NoPayload]):
    before = step(note).takes(context, resource(Journal))
    nap = wait(timedelta(seconds=0.05))
    after = step(note).takes(context, resource(Journal))
    flow = before >> nap >> after >> complete


class LongSleep(Workflow[NoPayload]):
    nap = wait(timedelta(days=30))
    after = step(note).takes(context, resource(Journal))
    flow = nap >> after >> complete


class RetriedLater(Workflow[NoPayload]):
    work = step(break_first, retry=LATER).takes(context, resource(Journal))
    after = step(note).takes(context, resource(Journal))
    flow = work >> after >> complete


class Gated(Workflow[NoPayload]):
    gate = pause()
    after = step(note).takes(context, resource(Journal))
    flow = gate >> after >> complete


class Held(Workflow[NoPayload]):
    before = step(note).takes(context, resource(Journal))
    work = step(hold).takes(context, resource(Journal))
    after = step(note).takes(context, resource(Journal))
    flow = before >> work >> after >> complete


class Blocked(Workflow[NoPayload]):
    """A body that blocks its process's event loop."""

    work = step(block).takes(context, resource(Journal))
    after = step(note).takes(context, resource(Journal))
    flow = work >> after >> complete


class Careful(Workflow[NoPayload]):
    """Bodies that run once at most."""

    before = step(note, on_interrupt="fail").takes(context, resource(Journal))
    work = step(note, on_interrupt="pause").takes(context, resource(Journal))
    after = step(note).takes(context, resource(Journal))
    flow = before >> work >> after >> complete


class HeldTogether(Workflow[NoPayload]):
    """Several bodies of one run at once."""

    x0 = step(hold).takes(context, resource(Journal))
    x1 = step(hold).takes(context, resource(Journal))
    x2 = step(hold).takes(context, resource(Journal))
    end = step(note, after=[x0, x1, x2]).takes(context, resource(Journal))


class HeldBeside(Workflow[NoPayload]):
    """A body that takes its time, beside a way of two steps."""

    slow = step(hold).takes(context, resource(Journal))
    quick = step(note).takes(context, resource(Journal))
    follows = step(note, after=[quick]).takes(context, resource(Journal))


class HeldDoomed(Workflow[NoPayload]):
    """A failure that takes the run's lock, after a while."""

    work = step(hold_and_break).takes(context, resource(Journal))
    beside = step(note).takes(context, resource(Journal))
    both = step(note, after=[work, beside]).takes(context, resource(Journal))


class Standing(Workflow[NoPayload]):
    work = step(stand).takes(context, resource(Journal))
    after = step(note).takes(context, resource(Journal))
    flow = work >> after >> complete


class Numbered(Payload):
    number: int


class Echo(Workflow[Numbered]):
    """Stores its number, which a test's database may refuse."""

    first = step(number_of).takes(Numbered.number)
    last = step(number_of).takes(first.output)
    flow = first >> last >> complete


class TwoQueues(Workflow[NoPayload]):
    here = step(note).takes(context, resource(Journal))
    there = step(note, queue="other").takes(context, resource(Journal))
    flow = here >> there >> complete


class Fan(Workflow[NoPayload]):
    """One, then ten at once, then one."""

    root = step(note).takes(context, resource(Journal))
    x0 = step(note, after=[root]).takes(context, resource(Journal))
    x1 = step(note, after=[root]).takes(context, resource(Journal))
    x2 = step(note, after=[root]).takes(context, resource(Journal))
    x3 = step(note, after=[root]).takes(context, resource(Journal))
    x4 = step(note, after=[root]).takes(context, resource(Journal))
    x5 = step(note, after=[root]).takes(context, resource(Journal))
    x6 = step(note, after=[root]).takes(context, resource(Journal))
    x7 = step(note, after=[root]).takes(context, resource(Journal))
    x8 = step(note, after=[root]).takes(context, resource(Journal))
    x9 = step(note, after=[root]).takes(context, resource(Journal))
    end = step(note, after=[x0, x1, x2, x3, x4, x5, x6, x7, x8, x9]).takes(
        context, resource(Journal)
    )


def _long(names: dict[str, Any]) -> None:
    steps = [step(note).takes(context, resource(Journal)) for _ in range(30)]
    names |= {f"s{number}": one for number, one in enumerate(steps)}
    names["flow"] = *(one >> other for one, other in pairwise(steps)), steps[-1] >> complete


Long: type[Workflow[NoPayload]] = new_class("Long", (Workflow[NoPayload],), exec_body=_long)
"""Thirty steps, one after the other."""

WORKFLOWS: Workflows = [
    Long,
    Chain,
    Branching,
    Joining,
    Rescued,
    Doomed,
    Sleeping,
    LongSleep,
    RetriedLater,
    Gated,
    Held,
    Blocked,
    Careful,
    HeldTogether,
    HeldBeside,
    HeldDoomed,
    Standing,
    Echo,
    TwoQueues,
    Fan,
]

SHORT_SHAPES: Workflows = [Chain, Branching, Joining, Rescued, Doomed, Sleeping, TwoQueues, Fan]
"""Those that end by themselves at once, in every way that a run can."""

BODIES = {
    "Chain": {"a": 1, "b": 1, "c": 1},
    "Branching": {"first": 1, "choose": 2, "left": 1},
    "Joining": {"left": 1, "right": 2, "both": 1},
    "Rescued": {"work": 1, "rescue": 1},
    "Doomed": {"work": 1, "beside": 1},
    "Sleeping": {"before": 1, "after": 1},
    "TwoQueues": {"here": 1, "there": 1},
    "Fan": {"root": 1, "end": 1} | {f"x{n}": 1 for n in range(10)},
}
"""How often each body of such a run begins when nothing goes wrong."""

ENDS = dict.fromkeys(BODIES, "completed") | {"Doomed": "failed"}
