"""A definition as the planner needs it: looked up once, asked at every step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from squid_mesh.definition.spec import EdgeSpec, StepSpec, WorkflowSpec


@dataclass(frozen=True)
class Graph:
    """Who begins, who follows whom, and how many completions end a run."""

    spec: WorkflowSpec

    def step(self, name: str) -> StepSpec:
        """A declared step. Raises `KeyError`."""
        return self.spec.by_name[name]

    @cached_property
    def entries(self) -> tuple[str, ...]:
        """The steps that are ready when a run starts, in the order of their declaration."""
        if self.spec.flow:
            targets = {edge.to for edge in self.spec.edges}
            return tuple(step.name for step in self.spec.steps if step.name not in targets)
        return tuple(name for name, needs in self.spec.dependencies.items() if not needs)

    @cached_property
    def waiting(self) -> dict[str, int]:
        """For each step that has a row from the start and waits: its number of dependencies."""
        if self.spec.flow:
            return {}
        return {name: len(needs) for name, needs in self.spec.dependencies.items() if needs}

    @cached_property
    def edges(self) -> dict[str, tuple[EdgeSpec, ...]]:
        """The transitions out of each step, in the order they were written."""
        return {
            step.name: tuple(edge for edge in self.spec.edges if edge.step == step.name)
            for step in self.spec.steps
        }

    @cached_property
    def dependents(self) -> dict[str, tuple[str, ...]]:
        """The steps that wait for each step of a dependency workflow."""
        if self.spec.flow:
            return {step.name: () for step in self.spec.steps}
        return {
            step.name: tuple(n for n, needs in self.spec.dependencies.items() if step.name in needs)
            for step in self.spec.steps
        }

    @cached_property
    def ends(self) -> int:
        """How many completions end a run: one on a flow, one for each leaf of a dependency graph."""
        if self.spec.flow:
            return 1
        return sum(not dependents for dependents in self.dependents.values())
