"""What follows from a step that ended: pure, and the same in every process.

A flow goes from step to step along the edge that the outcome takes. In a dependency workflow a
completed step is counted off by each step that waits for it. The decision is a value; the runtime
writes it down together with the outcome that it follows from.

`ready` and `ending` say from a whole history what these increments must add up to. They drive no
run; tests hold to them what does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

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
    """Nothing follows. A run has completed when it has got here as often as its graph has ends."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The run fails with this step's error: no step begins any more."""


type Following = Next | CountDown | EndReached


def follow(graph: Graph, step: str, way: Exit, output: Json = None) -> Following:
    """What follows a step that completed, by its way out and (for `when`) its output.

    Raises `LookupError` when a flow has no edge for it, which a validated definition always has.
    """
    if not graph.spec.flow:
        dependents = graph.dependents[step]
        return CountDown(dependents) if dependents else EndReached()
    edge = taken(graph, step, way, output)
    if edge is None:
        raise LookupError(f"{graph.spec.name}.{step} has no way out for {way} with {output!r}")
    return _along(edge)


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
            return Fail() if edge is None else _along(edge)
        case _:
            assert_never(decision)


def _along(edge: EdgeSpec) -> Next | EndReached:
    return EndReached() if edge.to == COMPLETE else Next(edge.to)


@dataclass(frozen=True, slots=True)
class Known:
    """A step as a reader of the history sees it. `way` and `output` are a completed step's."""

    status: StepStatus
    way: Exit = Exit.OK
    output: Json = None


def ready(graph: Graph, steps: Mapping[str, Known], *, cancelled: bool = False) -> tuple[str, ...]:
    """The steps that are to begin, in the order of their declaration.

    A step without an entry has no row. None is to begin once the run is `cancelled` or a step has
    failed that no error route leads out of.
    """
    if cancelled or _failed(graph, steps):
        return ()
    reached = _led_to(graph, steps) if graph.spec.flow else _freed(graph, steps)
    begun = {name for name, known in steps.items() if known.status not in _NOT_BEGUN}
    return tuple(step.name for step in graph.spec.steps if step.name in reached - begun)


def ending(
    graph: Graph, steps: Mapping[str, Known], *, cancelled: bool = False
) -> RunStatus | None:
    """How the run has ended; None while it lives.

    A run that is cancelled or fails ends when the last running body has; what sleeps or is held
    doesn't keep it.
    """
    statuses = {known.status for known in steps.values()}
    if StepStatus.RUNNING in statuses:
        return None
    if cancelled:
        return RunStatus.CANCELLED
    if _failed(graph, steps):
        return RunStatus.FAILED
    return None if statuses & _ASLEEP or ready(graph, steps) else RunStatus.COMPLETED


_NOT_BEGUN = {StepStatus.WAITING, StepStatus.PENDING}
_ASLEEP = {StepStatus.SCHEDULED, StepStatus.PAUSED}


def _led_to(graph: Graph, steps: Mapping[str, Known]) -> set[str]:
    """The steps of a flow that an edge was taken to, and where it begins."""
    edges = (_edge_of(graph, name, known) for name, known in steps.items())
    return {edge.to for edge in edges if edge is not None}.union(graph.entries)


def _freed(graph: Graph, steps: Mapping[str, Known]) -> set[str]:
    """The steps of a dependency workflow that have nothing left to wait for."""
    done = {name for name, known in steps.items() if known.status is StepStatus.COMPLETED}
    return {name for name, needs in graph.needs.items() if done.issuperset(needs)}


def _failed(graph: Graph, steps: Mapping[str, Known]) -> bool:
    return any(
        known.status is StepStatus.FAILED and _edge_of(graph, name, known) is None
        for name, known in steps.items()
    )


def _edge_of(graph: Graph, name: str, known: Known) -> EdgeSpec | None:
    """The transition that a step has taken; None while it has taken none."""
    match known.status:
        case StepStatus.COMPLETED:
            return taken(graph, name, known.way, known.output)
        case StepStatus.FAILED:
            return taken(graph, name, Exit.ERROR)
        case _:
            return None
