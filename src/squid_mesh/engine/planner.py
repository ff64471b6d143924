"""What follows from a step that ended: pure, and the same in every process.

A flow goes from step to step along the edge that the outcome takes. In a dependency workflow a
completed step is counted off by each step that waits for it. The decision is a value; the runtime
writes it down together with the outcome that it follows from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from squid_mesh.definition.annotations import same
from squid_mesh.definition.spec import COMPLETE, EdgeSpec, Exit, Json, RetrySpec
from squid_mesh.engine.graph import Graph
from squid_mesh.engine.retry import Failed, GiveUp, RetryIn, decide
from squid_mesh.engine.states import RunStatus, StepStatus


@dataclass(frozen=True, slots=True)
class Next:
    """One step begins, as a flow leads to it."""

    step: str


@dataclass(frozen=True, slots=True)
class CountDown:
    """Each of these steps has one dependency less to wait for."""

    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EndReached:
    """This way through the graph is at its end."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The run fails with this step's error."""


type Following = Next | CountDown | EndReached


def follow(graph: Graph, step: str, way: Exit, output: Json = None) -> Following:
    """What follows a step that completed, by its way out and (for `when`) its output."""
    if not graph.spec.flow:
        dependents = graph.dependents[step]
        return CountDown(dependents) if dependents else EndReached()
    edge = taken(graph, step, way, output)
    if edge is None:
        raise LookupError(f"{graph.spec.name}.{step} has no way out for {way} with {output!r}")
    return EndReached() if edge.to == COMPLETE else Next(edge.to)


def taken(graph: Graph, step: str, way: Exit, output: Json = None) -> EdgeSpec | None:
    """The transition that an outcome takes: the `when` that matches, else the plain one."""
    edges = graph.edges[step]
    if way is Exit.OK:
        for edge in edges:
            if edge.on is Exit.WHEN and same(edge.value, output):
                return edge
    return next((edge for edge in edges if edge.on is way), None)


def after_failure(
    graph: Graph,
    step: str,
    attempt: int,
    failed: Failed,
    *,
    policy: RetrySpec | None,
    jitter: float,
) -> RetryIn | Next | EndReached | Fail:
    """What follows a failed attempt: another one, the error route, or the run's failure.

    `policy` is the loaded code's when it has the step, else the pinned definition's.
    """
    decision = decide(policy, attempt, failed, jitter=jitter)
    match decision:
        case RetryIn():
            return decision
        case GiveUp():
            edge = taken(graph, step, Exit.ERROR)
            if edge is None:
                return Fail()
            return EndReached() if edge.to == COMPLETE else Next(edge.to)


@dataclass(frozen=True, slots=True)
class Known:
    """A step as a reader of the history sees it."""

    status: StepStatus
    way: Exit | None = None
    output: Json = None


def ready(graph: Graph, steps: Mapping[str, Known]) -> tuple[str, ...]:
    """The steps that may begin, from a whole history: what the increments add up to."""
    if graph.spec.flow:
        return _ready_on_flow(graph, steps)
    done = {name for name, known in steps.items() if known.status is StepStatus.COMPLETED}
    return tuple(
        name
        for name, needs in graph.spec.dependencies.items()
        if done.issuperset(needs) and (name not in steps or steps[name].status in _NOT_BEGUN)
    )


_NOT_BEGUN = {StepStatus.WAITING, StepStatus.PENDING}


def _ready_on_flow(graph: Graph, steps: Mapping[str, Known]) -> tuple[str, ...]:
    (name,) = graph.entries
    while (known := steps.get(name)) is not None and known.way is not None:
        edge = taken(graph, name, known.way, known.output)
        if edge is None or edge.to == COMPLETE:
            return ()
        name = edge.to
    return (name,) if known is None or known.status in _NOT_BEGUN else ()


def ending(graph: Graph, steps: Mapping[str, Known]) -> RunStatus | None:
    """How the run has ended, from a whole history; None while it lives."""
    if any(known.status in _LIVE for known in steps.values()) or ready(graph, steps):
        return None
    unrouted = (
        known.status is StepStatus.FAILED and taken_by(graph, name, known) is None
        for name, known in steps.items()
    )
    return RunStatus.FAILED if any(unrouted) else RunStatus.COMPLETED


_LIVE = {StepStatus.RUNNING, StepStatus.SCHEDULED, StepStatus.PAUSED}


def taken_by(graph: Graph, step: str, known: Known) -> EdgeSpec | None:
    """The transition that an ended step took, None when it took none."""
    return None if known.way is None else taken(graph, step, known.way, known.output)
