"""A definition as the planner needs it: looked up once, asked at every step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        return tuple(name for name, needs in self.needs.items() if not needs)

    @cached_property
    def waiting(self) -> Mapping[str, int]:
        """For each step that has a row from the start and waits: its number of dependencies."""
        return {name: len(needs) for name, needs in self.needs.items() if needs}

    @cached_property
    def edges(self) -> Mapping[str, tuple[EdgeSpec, ...]]:
        """The transitions out of each step, in the order they were written."""
        return self._by_step((edge.step, edge) for edge in self.spec.edges)

    @cached_property
    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """The steps that each step of a dependency workflow waits for. Nothing waits in a flow."""
        return {} if self.spec.flow else self.spec.dependencies

    @cached_property
    def dependents(self) -> Mapping[str, tuple[str, ...]]:
        """The steps that wait for each step: `needs`, read the other way."""
        return self._by_step((need, name) for name, needs in self.needs.items() for need in needs)

    def beside(self, name: str) -> tuple[str, ...]:
        """The steps of a dependency workflow that neither need this one nor are needed by it."""
        if name not in self._beside:
            related = self._reachable(name, self.needs) | self._reachable(name, self.dependents)
            self._beside[name] = tuple(other for other in self.needs if other not in related)
        return self._beside[name]

    @cached_property
    def _beside(self) -> dict[str, tuple[str, ...]]:
        return {}

    @staticmethod
    def _reachable(name: str, ways: Mapping[str, tuple[str, ...]]) -> set[str]:
        found, left = {name}, [name]
        while left:
            new = [step for step in ways[left.pop()] if step not in found]
            found.update(new)
            left += new
        return found

    @cached_property
    def ends(self) -> int:
        """How many completions end a run: one on a flow, else one for each step nobody needs."""
        return 1 if self.spec.flow else sum(not names for names in self.dependents.values())

    def _by_step[T](self, pairs: Iterable[tuple[str, T]]) -> dict[str, tuple[T, ...]]:
        found: dict[str, list[T]] = {step.name: [] for step in self.spec.steps}
        for name, value in pairs:
            found[name].append(value)
        return {name: tuple(values) for name, values in found.items()}
