"""From the rows of one run to its history, with secrets masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from squid_mesh.definition.secrets import MASK, Secrets
from squid_mesh.definition.spec import Injected, Json, StepSpec, Wire
from squid_mesh.definition.values import MissingPath, Unreadable
from squid_mesh.engine.inputs import Stored, read
from squid_mesh.engine.states import ENDED, AttemptStatus, RunStatus, StepStatus
from squid_mesh.inspection import reading
from squid_mesh.inspection.code import Code
from squid_mesh.inspection.graph import GraphNode, RunGraph
from squid_mesh.inspection.models import Attempt, AuditEvent, Recovery, RunDetails, StepState
from squid_mesh.inspection.reading import Row
from squid_mesh.inspection.routes import Routes


@dataclass(frozen=True, slots=True)
class History:
    """The rows of one run, read at one moment. `shown` is what is stored, without its secrets."""

    code: Code
    run: Row
    steps: Sequence[Row]
    attempts: Sequence[Row]
    events: Sequence[Row]
    secrets: Secrets = field(init=False)
    stored: Stored = field(init=False)
    shown: Stored = field(init=False)

    def __post_init__(self) -> None:
        outputs = {s["step"]: s["output"] for s in self.steps if s["output"] is not None}
        errors = {s["step"]: s["error"] for s in self.steps if s["error"] is not None}
        payload = self.run["payload"]
        secrets = self.code.secrets(payload, outputs)
        object.__setattr__(self, "secrets", secrets)
        object.__setattr__(self, "stored", Stored(payload, outputs, errors))
        shown = Stored(
            secrets.hide_in(reading.masked(payload, reading.secrets(self.code.spec))),
            {name: secrets.hide_in(self._output(name, value)) for name, value in outputs.items()},
            secrets.hide_in(errors),
        )
        object.__setattr__(self, "shown", shown)

    def _output(self, name: str, value: Json) -> Json:
        """An output without its secrets; nothing of it, when no loaded code says where they are."""
        action = self.code.spec.by_name[name].action
        if action is None or not action.secret:
            return value
        try:
            codec = self.code.codecs[name]
            return codec.masked(value) if codec.secret else MASK
        except Unreadable:
            return MASK

    def details(self) -> RunDetails:
        """The run with its history."""
        states = self.states()
        return RunDetails(
            **reading.run_fields(self.run, reading.secrets(self.code.spec), self.secrets),
            context=_context(self.code, states),
            steps=tuple(states.values()),
            step_runs=tuple(
                states[s["step"]] for s in self.steps if s["status"] != StepStatus.WAITING
            ),
            audit_events=tuple(AuditEvent(**self._event(event)) for event in self.events),
            stored={s["step"]: s["output"] for s in self.steps},
            codecs=self.code.codecs,
        )

    def graph(self, *, include_details: bool) -> RunGraph:
        """The run's own graph, with the ways it has taken."""
        spec = self.code.spec
        states = self.states()
        run = reading.run(self.run)
        routes = Routes(
            self.code.graph,
            {name: state.status for name, state in states.items()},
            self.stored.outputs,
        )
        return RunGraph(
            run_id=run.id,
            workflow=run.workflow,
            definition=run.definition,
            status=run.status,
            current_steps=run.current_steps,
            nodes=tuple(
                _node(
                    spec.by_name[name],
                    state,
                    run.current_steps,
                    include_details=include_details,
                )
                for name, state in states.items()
            ),
            edges=routes.edges(),
        )

    def states(self) -> dict[str, StepState]:
        """Every declared step, in the order of declaration."""
        rows = {s["step"]: s for s in self.steps}
        attempts: dict[str, list[Attempt]] = {}
        for row in self.attempts:
            attempts.setdefault(row["step"], []).append(self._attempt(row))
        return {
            step.name: self._state(step, rows.get(step.name), attempts.get(step.name, []))
            for step in self.code.spec.steps
        }

    def _state(self, step: StepSpec, row: Row | None, attempts: list[Attempt]) -> StepState:
        spec = self.code.spec
        row = row if row is not None else _NO_ROW | {"status": self._absent}
        return StepState(
            step=step.name,
            kind=step.kind,
            status=StepStatus(row["status"]),
            depends_on=() if spec.flow else spec.dependencies[step.name],
            input=None if row["started_at"] is None else self._input(step, row),
            output=self.shown.outputs.get(step.name),
            error=reading.failure(row["error"], self.secrets),
            attempts=tuple(sorted(attempts, key=lambda attempt: attempt.number)),
            due_at=row["due_at"],
            worker=f"{row['node']} ({row['pid']})" if row["node"] else None,
            recovery=Recovery(
                self.code.operations[step.name].on_interrupt,
                sum(attempt.status is AttemptStatus.INTERRUPTED for attempt in attempts),
            ),
            started_at=row["started_at"],
            finished_at=row["finished_at"],
        )

    @property
    def _absent(self) -> StepStatus:
        """How a step without a row stands."""
        ended = RunStatus(self.run["status"]) in ENDED
        return StepStatus.SKIPPED if ended else StepStatus.WAITING

    def _input(self, step: StepSpec, row: Row) -> dict[str, Any]:
        """What the step is handed, as far as it is stored."""
        if row["input"] is not None:
            return dict(self.secrets.hide_in(row["input"]))
        wires = {n: w for n, w in step.wires().items() if not isinstance(w, Injected)}
        values = {name: self._value(wire) for name, wire in wires.items()}
        return {name: value for name, value in values.items() if value is not _NOTHING}

    def _value(self, wire: Wire) -> Json:
        """What a wire leads to; where it leads into a secret, its mask."""
        try:
            return read(wire, self.shown)
        except MissingPath:
            pass
        try:
            read(wire, self.stored)
        except MissingPath:
            return _NOTHING
        return MASK

    def _attempt(self, row: Row) -> Attempt:
        return Attempt(
            number=row["number"],
            status=AttemptStatus(row["status"]),
            error=reading.failure(row["error"], self.secrets),
            started_at=row["started_at"],
            finished_at=row["finished_at"],
        )

    def _event(self, row: Row) -> dict[str, Any]:
        """What people wrote may repeat a secret."""
        written = ("actor", "comment", "metadata")
        return dict(row) | {name: self.secrets.hide_in(row[name]) for name in written}


def _context(code: Code, states: Mapping[str, StepState]) -> dict[str, Any]:
    return {
        step.output: states[step.name].output
        for step in code.spec.steps
        if states[step.name].status is StepStatus.COMPLETED
        and (step.action is not None or states[step.name].output is not None)
    }


def _node(
    step: StepSpec, state: StepState, current: Sequence[str], *, include_details: bool
) -> GraphNode:
    asked: dict[str, Any] = {}
    if include_details:
        names = ("input", "output", "error", "attempts")
        asked = {name: getattr(state, name) for name in names}
    return GraphNode(
        id=step.name,
        kind=step.kind,
        action=step.action.name if step.action else None,
        status=state.status,
        is_current=step.name in current,
        recovery=state.recovery,
        **asked,
    )


_NOTHING = object()

_NO_ROW: dict[str, Any] = dict.fromkeys(
    ("input", "error", "due_at", "node", "pid", "started_at", "finished_at")
)
