"""Which edges a run has taken: pure, by the same planner that took them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from squid_mesh.definition.spec import EdgeSpec, Exit, Json, StepKind, StepSpec
from squid_mesh.engine.graph import Graph
from squid_mesh.engine.planner import taken
from squid_mesh.engine.states import StepStatus
from squid_mesh.inspection.graph import DEPENDENCY, EdgeStatus, GraphEdge

_OVER = frozenset({StepStatus.FAILED, StepStatus.CANCELLED})

_REVIEWED = {"approved": Exit.APPROVED, "rejected": Exit.REJECTED}


def way_out(step: StepSpec, output: Json) -> Exit:
    """The way by which a completed step was left: an approval's is in its decision.

    One without a decision has timed out.
    """
    if step.kind is not StepKind.APPROVAL:
        return Exit.OK
    return Exit.TIMEOUT if output is None else _REVIEWED[output["decision"]]


@dataclass(frozen=True)
class Routes:
    """The edges of one run, from how its steps stand and what they have stored."""

    graph: Graph
    steps: Mapping[str, StepStatus]
    outputs: Mapping[str, Json]

    def edges(self) -> tuple[GraphEdge, ...]:
        """Every edge, in the order of the definition."""
        spec = self.graph.spec
        return tuple(map(self._transition, spec.edges) if spec.flow else self._dependencies())

    def _transition(self, edge: EdgeSpec) -> GraphEdge:
        case = f":{json.dumps(edge.value, sort_keys=True)}" if edge.on is Exit.WHEN else ""
        return GraphEdge(
            id=f"{edge.step}:{edge.on}{case}:{edge.to}",
            source=edge.step,
            target=edge.to,
            on=edge.on,
            value=edge.value,
            status=self._status(edge),
        )

    def _status(self, edge: EdgeSpec) -> EdgeStatus:
        match self.steps[edge.step]:
            case StepStatus.COMPLETED | StepStatus.FAILED if self._way[edge.step] is not None:
                return self._chosen(edge)
            case StepStatus.COMPLETED | StepStatus.FAILED | StepStatus.CANCELLED:
                return EdgeStatus.BLOCKED
            case StepStatus.WAITING if edge.step in self._arrivable:
                return EdgeStatus.PENDING
            case StepStatus.WAITING | StepStatus.SKIPPED:
                return EdgeStatus.SKIPPED
            case _:
                return EdgeStatus.PENDING

    def _chosen(self, edge: EdgeSpec) -> EdgeStatus:
        """An edge of a step that has ended one way: nothing comes along it after a cancellation."""
        if edge != self._way[edge.step]:
            return EdgeStatus.SKIPPED
        stopped = self.steps.get(edge.to) is StepStatus.SKIPPED
        return EdgeStatus.BLOCKED if stopped else EdgeStatus.TAKEN

    @cached_property
    def _way(self) -> dict[str, EdgeSpec | None]:
        """The edge that each step that has ended was left by."""
        return {
            name: taken(self.graph, name, *self._left_by(name))
            for name, status in self.steps.items()
            if status in {StepStatus.COMPLETED, StepStatus.FAILED}
        }

    def _left_by(self, name: str) -> tuple[Exit, Json]:
        if self.steps[name] is StepStatus.FAILED:
            return Exit.ERROR, None
        output = self.outputs.get(name)
        return way_out(self.graph.step(name), output), output

    @cached_property
    def _arrivable(self) -> frozenset[str]:
        """The steps without a row that may still be arrived at: a flow has no cycle."""
        found: set[str] = set()
        ahead = [name for name, status in self.steps.items() if status in _ON_ITS_WAY]
        while ahead:
            for edge in self.graph.edges.get(ahead.pop(), ()):
                if self.steps.get(edge.to) is StepStatus.WAITING and edge.to not in found:
                    found.add(edge.to)
                    ahead.append(edge.to)
        return frozenset(found)

    def _dependencies(self) -> Iterator[GraphEdge]:
        for name, needs in self.graph.needs.items():
            for need in needs:
                yield GraphEdge(
                    id=f"{need}:{DEPENDENCY}:{name}",
                    source=need,
                    target=name,
                    on=DEPENDENCY,
                    status=self._met(need, name),
                )

    def _met(self, need: str, name: str) -> EdgeStatus:
        match self.steps[need]:
            case StepStatus.COMPLETED:
                return EdgeStatus.TAKEN
            case StepStatus.FAILED | StepStatus.CANCELLED | StepStatus.SKIPPED:
                return EdgeStatus.BLOCKED
            case _ if self.steps[name] in _OVER:
                return EdgeStatus.BLOCKED
            case _:
                return EdgeStatus.PENDING


_ON_ITS_WAY = frozenset(
    {StepStatus.PENDING, StepStatus.SCHEDULED, StepStatus.RUNNING, StepStatus.PAUSED}
)
