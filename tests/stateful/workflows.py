"""Random small workflows, as classes that an application could have written."""

import types
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Literal

from hypothesis import strategies as st

from squid_mesh import (
    Constant,
    Payload,
    Retry,
    Workflow,
    complete,
    context,
    log,
    pause,
    resource,
    step,
    wait,
)
from tests.stateful.conductor import Conductor, Final, act, act_in_thread

DELAY = timedelta(seconds=150)
"""How long waits and retries sleep: never a whole number of the clock's moves."""

OTHER_QUEUE = "other"


class Number(Payload):
    number: int = 0


class Kind(StrEnum):
    """What a step is."""

    ASYNC = "async"
    THREAD = "thread"
    LOG = "log"
    WAIT = "wait"
    PAUSE = "pause"

    @property
    def is_action(self) -> bool:
        """Whether it has a body."""
        return self in {Kind.ASYNC, Kind.THREAD}


class Exits(StrEnum):
    """The ways out that a step of a flow has at once."""

    PLAIN = "plain"
    ERROR = "plain, error"
    BRANCHES = "left, right, plain"
    ALL = "left, right, rest, error"

    @property
    def ways(self) -> list[str]:
        """Each of them."""
        return str(self.value).split(", ")


RETRIES = (
    None,
    Retry(2),
    Retry(3, Constant(DELAY), jitter=False),
    Retry(2, Constant(DELAY), jitter=False, stop_on=(Final,)),
)


@dataclass(frozen=True)
class Step:
    """One step. `needs` are earlier steps of a graph, `targets` where the ways out of a flow go."""

    kind: Kind
    retry: Retry | None = None
    queue: str | None = None
    on_interrupt: Literal["retry", "pause", "fail"] = "retry"
    needs: tuple[int, ...] = ()
    targets: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """A workflow as it is drawn: `flow`s have targets, graphs have needs."""

    flow: bool
    steps: tuple[Step, ...]

    def build(self, name: str) -> type[Workflow[Number]]:
        """The class."""
        return types.new_class(name, (Workflow[Number],), exec_body=self._declare)

    def _declare(self, body: dict[str, Any]) -> None:
        nodes: list[Any] = []
        for number, shape in enumerate(self.steps):
            nodes.append(self._node(shape, nodes))
            body[name_of(number)] = nodes[-1]
        if self.flow:
            body["flow"] = tuple(self._arrows(nodes))

    def _node(self, shape: Step, before: list[Any]) -> Any:
        wired = [n for n in shape.needs if self.steps[n].kind.is_action]
        after = [before[n] for n in shape.needs if n not in wired or not shape.kind.is_action]
        match shape.kind:
            case Kind.LOG:
                return log("logged", after=after)
            case Kind.WAIT:
                return wait(DELAY, after=after)
            case Kind.PAUSE:
                return pause(after=after)
            case Kind.ASYNC | Kind.THREAD:
                function: Any = act if shape.kind is Kind.ASYNC else act_in_thread
                unbound: Any = step(
                    function,
                    retry=shape.retry,
                    queue=shape.queue,
                    on_interrupt=shape.on_interrupt,
                    after=after,
                )
                read = [before[n].output for n in wired]
                return unbound.takes(context, resource(Conductor), read)

    def _arrows(self, nodes: list[Any]) -> list[Any]:
        ends = [*nodes, complete]
        return [
            _way(nodes[number], way) >> ends[target]
            for number, shape in enumerate(self.steps)
            for way, target in shape.targets.items()
        ]


def name_of(number: int) -> str:
    """The attribute that a step is assigned to."""
    return f"step_{number}"


def _way(node: Any, way: str) -> Any:
    match way:
        case "plain":
            return node
        case "error":
            return node.on_error
        case value:
            return node.when(value)


KINDS = (*(Kind.ASYNC,) * 4, *(Kind.THREAD,) * 2, *Kind)
"""As often as they are drawn."""


def _step(draw: st.DrawFn, on_interrupt: Any, **edges: Any) -> Step:
    kind = draw(st.sampled_from(KINDS))
    if not kind.is_action:
        return Step(kind, **edges)
    return Step(
        kind,
        retry=draw(st.sampled_from(RETRIES)),
        queue=OTHER_QUEUE if draw(st.integers(0, 3)) == 3 else None,
        on_interrupt=on_interrupt,
        **edges,
    )


ON_INTERRUPT = st.sampled_from(["retry", "retry", "retry", "fail", "pause"])


@st.composite
def flows(draw: st.DrawFn, most: int = 5) -> Shape:
    """A flow whose steps can all be reached."""
    count = draw(st.integers(1, most))
    steps: list[Step] = []
    while len(steps) < count:
        drawn = _step(draw, draw(ON_INTERRUPT))
        exits = draw(st.sampled_from(Exits)) if drawn.kind.is_action else Exits.PLAIN
        # Forward only, and the plain way to the very next step: all can be reached, none again.
        here = len(steps)
        ahead = st.integers(here + 1, count)
        targets = {way: draw(ahead) for way in exits.ways}
        targets[exits.ways[0]] = here + 1
        steps.append(Step(**{**vars(drawn), "targets": targets}))
    return Shape(flow=True, steps=tuple(steps))


@st.composite
def graphs(draw: st.DrawFn, most: int = 5) -> Shape:
    """A dependency workflow: joins, forks, roots and ends as they come.

    All its steps have one policy for interruptions: which of several that a sweep finds at once it
    ends first is nobody's to say.
    """
    on_interrupt = draw(ON_INTERRUPT)
    steps: list[Step] = []
    for number in range(draw(st.integers(1, most))):
        earlier = st.lists(st.integers(0, number - 1), unique=True, max_size=3)
        needs = draw(earlier) if number else []
        steps.append(_step(draw, on_interrupt, needs=tuple(sorted(needs))))
    return Shape(flow=False, steps=tuple(steps))


@st.composite
def gates(draw: st.DrawFn) -> Shape:
    """A dependency workflow of pauses, and of steps that an operator decides about."""
    steps: list[Step] = []
    for number in range(draw(st.integers(2, 5))):
        earlier = st.lists(st.integers(0, number - 1), unique=True, max_size=2)
        needs = tuple(sorted(draw(earlier))) if number else ()
        kind = draw(st.sampled_from([Kind.PAUSE, Kind.PAUSE, Kind.ASYNC]))
        steps.append(Step(kind, on_interrupt="pause", needs=needs))
    return Shape(flow=False, steps=tuple(steps))


@st.composite
def gated_flows(draw: st.DrawFn) -> Shape:
    """A flow of the same, some of whose steps have an error route."""
    steps: list[Step] = []
    count = draw(st.integers(2, 5))
    for here in range(count):
        kind = draw(st.sampled_from([Kind.PAUSE, Kind.ASYNC]))
        exits = draw(st.sampled_from(Exits)) if kind.is_action else Exits.PLAIN
        targets = {way: draw(st.integers(here + 1, count)) for way in exits.ways}
        targets[exits.ways[0]] = here + 1
        steps.append(Step(kind, on_interrupt="pause", targets=targets))
    return Shape(flow=True, steps=tuple(steps))


def gated_shapes() -> st.SearchStrategy[Shape]:
    """Workflows that mostly wait for people."""
    return gates() | gated_flows()


def shapes() -> st.SearchStrategy[Shape]:
    """Any workflow."""
    return flows() | graphs()
