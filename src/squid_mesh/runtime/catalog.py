"""The code of this process beside the definitions that runs are pinned to.

A run executes the graph it started with. Bodies, and how they are operated (retry, timeout, queue,
log text), come from the loaded code when it still has the step.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from squid_mesh.definition import document
from squid_mesh.definition.actions import Action, Unusable, inspect_action
from squid_mesh.definition.compile import Definition
from squid_mesh.definition.handed import Decision
from squid_mesh.definition.secrets import Secrets
from squid_mesh.definition.spec import Injected, Json, StepKind, StepSpec, WorkflowSpec
from squid_mesh.definition.values import Codec
from squid_mesh.definition.workflow import Workflow, name_of_workflow
from squid_mesh.engine.compatibility import misfits
from squid_mesh.engine.graph import Graph
from squid_mesh.errors import InvalidConfig, UnknownWorkflow, WorkflowDefinitionError, shown
from squid_mesh.runtime.settings import Gathered, listed

logger = logging.getLogger(__name__)

type LoadDocument = Callable[[str], Awaitable[bytes]]
"""Reads the document of a definition's version from the database."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A pinned step with the code that runs it: `action` is None when no loaded code fits."""

    spec: StepSpec
    operations: StepSpec
    action: Action | None
    misfits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A definition that runs are pinned to, ready to be driven."""

    graph: Graph
    steps: Mapping[str, PlannedStep]
    is_current: bool
    """Whether this process declares it: then its code fits by definition."""
    payload: Codec | None = None
    """How its payload is read, when this process declares it."""

    @property
    def codecs(self) -> dict[str, Codec]:
        """How each step's output is read: as what its function returns, when that is loaded."""
        return {name: _codec(step) for name, step in self.steps.items()}

    def secrets(self, payload: Json, outputs: Mapping[str, Json]) -> Secrets:
        """What must not be shown of a run that has stored these."""
        return Secrets.of(self.graph.spec, payload, outputs, self.codecs, self.payload)

    def can_run(self, step: str) -> bool:
        """Whether this process has code for the step."""
        planned = self.steps[step]
        return planned.spec.action is None or planned.action is not None

    def can_run_all(self, steps: Iterable[str]) -> bool:
        """Whether this process has code for all of these."""
        return self.is_current or all(map(self.can_run, steps))


def _codec(step: PlannedStep) -> Codec:
    if step.spec.kind is StepKind.APPROVAL:
        return _DECISION
    return step.action.output if step.action else _ANYTHING


_DECISION, _ANYTHING = Codec(Decision), Codec(Any)


class Everything:
    """The allow-list for our own database: any action, as each resolves to loaded code only."""

    def __contains__(self, _: object) -> bool:
        return True


class Catalog:
    """Workflows of this process by name, and plans by version."""

    def __init__(
        self,
        workflows: Iterable[type[Workflow[Any]]],
        actions: Iterable[Callable[..., Any]],
        load: LoadDocument,
    ) -> None:
        self._load = load
        config = Gathered()
        with config.part():
            self.definitions = _by_name(_declared(listed("workflows", workflows)))
        with config.part():
            extra = _inspected(listed("actions", actions))
        config.tell()
        self._actions = self._known_actions(extra)
        self._unreadable: dict[str, WorkflowDefinitionError] = {}
        self._plans = {
            d.version: self._plan(d.spec, is_current=True, payload=Codec(d.payload))
            for d in self.definitions.values()
        }

    @property
    def action_names(self) -> list[str]:
        """What this process can call."""
        return sorted(self._actions)

    @property
    def versions(self) -> list[str]:
        """The definitions that this process declares."""
        return sorted(d.version for d in self.definitions.values())

    def queues(self, default: str, workflows: Iterable[str] | None = None) -> frozenset[str]:
        """The queues of all steps, or of some workflows'; `default` is of those that name none.

        Cron windows fire in the default queue, so it is among all queues in any case.
        """
        if workflows is None:
            return self.queues(default, self.definitions) | {default}
        specs = (self.definitions[name].spec for name in workflows)
        return frozenset(step.queue or default for spec in specs for step in spec.steps)

    def definition(self, workflow: type[Workflow[Any]] | str) -> Definition:
        """The current definition of a workflow. Raises `UnknownWorkflow`."""
        name = name_of_workflow(workflow)
        if name not in self.definitions:
            raise UnknownWorkflow(name)
        return self.definitions[name]

    async def plan(self, version: str) -> Plan:
        """The plan of a definition, read from the database when this code doesn't declare it.

        Raises `WorkflowDefinitionError` for what only newer code can read. That is told once.
        """
        if version in self._unreadable:
            raise self._unreadable[version].with_traceback(None)
        if version not in self._plans:
            self._plans[version] = self._plan(await self._read(version), is_current=False)
        return self._plans[version]

    async def _read(self, version: str) -> WorkflowSpec:
        loaded = await self._load(version)
        try:
            return document.from_json(loaded, actions=Everything())
        except WorkflowDefinitionError as error:
            logger.warning(
                "definition %s is left to processes that can read it: %s", version, error
            )
            self._unreadable[version] = error
            raise

    def _known_actions(self, extra: Iterable[Action]) -> dict[str, Action]:
        known = {action.name: action for action in extra}
        for definition in self.definitions.values():
            for step, action in definition.actions.items():
                known[action.name] = action
                for former in definition.spec.by_name[step].formerly:
                    known.setdefault(former, action)
        return known

    def _plan(self, spec: WorkflowSpec, *, is_current: bool, payload: Codec | None = None) -> Plan:
        steps = {step.name: self._planned(spec, step) for step in spec.steps}
        return Plan(Graph(spec), steps, is_current, payload)

    def _planned(self, spec: WorkflowSpec, step: StepSpec) -> PlannedStep:
        current = self.definitions.get(spec.name)
        loaded = current.spec.by_name.get(step.name) if current else None
        operations = loaded if loaded is not None and loaded.kind is step.kind else step
        if step.action is None:
            return PlannedStep(step, operations, None)
        action = self._actions.get(step.action.name)
        if action is None:
            reason = f"no code of this process is called {step.action.name}"
            return PlannedStep(step, operations, None, (reason,))
        injected = frozenset(n for n, wire in step.inputs.items() if isinstance(wire, Injected))
        reasons = misfits(step, action.spec(injected))
        return PlannedStep(step, operations, None if reasons else action, reasons)


def _declared(workflows: Iterable[type[Workflow[Any]]]) -> list[Definition]:
    declared: list[Definition] = []
    problems: list[str] = []
    for workflow in workflows:
        definition = getattr(workflow, "__definition__", None)
        if isinstance(definition, Definition):
            declared.append(definition)
        else:
            problems.append(f"workflows holds {shown(workflow)}: pass classes that extend Workflow")
    if problems:
        raise InvalidConfig(problems)
    return declared


def _inspected(functions: Iterable[Callable[..., Any]]) -> list[Action]:
    actions: list[Action] = []
    problems: list[str] = []
    for function in functions:
        try:
            actions.append(inspect_action(function))
        except Unusable as error:
            problems += [f"actions holds {shown(function)}: {why}" for why in error.reasons]
    if problems:
        raise InvalidConfig(problems)
    return actions


def _by_name(definitions: list[Definition]) -> dict[str, Definition]:
    by_name: dict[str, Definition] = {}
    problems: list[str] = []
    for definition in definitions:
        other = by_name.setdefault(definition.spec.name, definition)
        if other is not definition:
            problems.append(
                f"two workflows are called {definition.spec.name!r}: "
                "give one another name with class X(Workflow[P], name=…)"
            )
    if problems:
        raise InvalidConfig(problems)
    return by_name
