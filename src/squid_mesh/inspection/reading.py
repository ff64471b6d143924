"""From rows to models."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from squid_mesh.definition.handed import StepFailure
from squid_mesh.definition.spec import StepSpec, WorkflowSpec
from squid_mesh.definition.values import Codec
from squid_mesh.engine.states import ENDED, AttemptStatus, RunStatus, StepStatus
from squid_mesh.inspection.models import Attempt, AuditEvent, Run, RunDetails, Schedule, StepState
from squid_mesh.store.records import Start

type Row = Mapping[str, Any]


MASK = "**********"
"""What is shown in place of a secret."""


def run(row: Row, hidden: Collection[str] = (), *, created: bool = True) -> Run:
    """A run from its row; the payload fields in `hidden` hold secrets."""
    return Run(**_run_fields(row, hidden), created=created)


def masked(payload: Any, hidden: Collection[str]) -> Any:
    """A payload without its secrets."""
    if not hidden:
        return payload
    return {name: MASK if name in hidden else value for name, value in dict(payload).items()}


def secrets(spec: WorkflowSpec) -> frozenset[str]:
    """The payload fields that hold secrets."""
    return frozenset(field.name for field in spec.payload.fields if field.secret)


def _run_fields(row: Row, hidden: Collection[str]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "workflow": row["workflow"],
        "definition": row["definition"],
        "trigger": row["trigger"],
        "status": RunStatus(row["status"]),
        "current_steps": tuple(row["current_steps"]),
        "payload": masked(row["payload"], hidden),
        "error": failure(row["error"]),
        "key": row["key"],
        "tags": row["tags"],
        "window": row["window_at"],
        "replayed_from": row["replayed_from"],
        "inserted_at": row["inserted_at"],
        "updated_at": row["updated_at"],
        "ended_at": row["ended_at"],
    }


def failure(stored: Any) -> StepFailure | None:
    """A stored error."""
    return None if stored is None else StepFailure(**stored)


def schedule(row: Row) -> Schedule:
    """A schedule from its row."""
    zone = ZoneInfo(row["timezone"])
    return Schedule(
        workflow=row["workflow"],
        trigger=row["trigger"],
        expression=row["expression"],
        timezone=row["timezone"],
        next_window=_in_zone(row["next_window"], zone),
        last_window=_in_zone(row["last_window"], zone),
        paused=row["paused"],
        error=failure(row["error"]),
    )


def _in_zone(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    return None if moment is None else moment.astimezone(zone)


def details(
    row: Row,
    spec: WorkflowSpec,
    steps: Sequence[Row],
    attempts: Sequence[Row],
    events: Sequence[Row],
    codecs: Mapping[str, Codec],
) -> RunDetails:
    """A run with its history."""
    by_step: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_step.setdefault(attempt["step"], []).append(_attempt(attempt))
    absent = StepStatus.SKIPPED if RunStatus(row["status"]) in ENDED else StepStatus.WAITING
    begun = {s["step"]: s for s in steps}
    states = {
        step.name: _state(spec, step, begun.get(step.name), by_step.get(step.name, []), absent)
        for step in spec.steps
    }
    states |= {
        step.name: replace(states[step.name], output=_shown(states[step.name].output, step, codecs))
        for step in spec.steps
        if step.action is not None and step.action.secret
    }
    return RunDetails(
        **_run_fields(row, secrets(spec)),
        context=_context(spec, states),
        steps=tuple(states.values()),
        step_runs=tuple(states[s["step"]] for s in steps if s["status"] != StepStatus.WAITING),
        audit_events=tuple(AuditEvent(**event) for event in events),
        stored={s["step"]: s["output"] for s in steps},
        codecs=codecs,
    )


def _shown(output: Any, step: StepSpec, codecs: Mapping[str, Codec]) -> Any:
    """An output without its secrets; nothing of it, when no loaded code says where they are."""
    if output is None:
        return None
    codec = codecs[step.name]
    return codec.masked(output) if codec.secret else MASK


def _context(spec: WorkflowSpec, states: Mapping[str, StepState]) -> dict[str, Any]:
    return {
        step.output: states[step.name].output
        for step in spec.steps
        if states[step.name].status is StepStatus.COMPLETED
        and (step.action is not None or states[step.name].output is not None)
    }


def _attempt(row: Row) -> Attempt:
    return Attempt(
        number=row["number"],
        status=AttemptStatus(row["status"]),
        error=failure(row["error"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def _state(
    spec: WorkflowSpec, step: StepSpec, row: Row | None, attempts: list[Attempt], absent: StepStatus
) -> StepState:
    depends_on = () if spec.flow else spec.dependencies[step.name]
    if row is None:
        row = _NO_ROW | {"status": absent}
    return StepState(
        step=step.name,
        kind=step.kind,
        status=StepStatus(row["status"]),
        depends_on=depends_on,
        output=row["output"],
        error=failure(row["error"]),
        attempts=tuple(sorted(attempts, key=lambda attempt: attempt.number)),
        due_at=row["due_at"],
        worker=f"{row['node']} ({row['pid']})" if row["node"] else None,
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


_NO_ROW: dict[str, Any] = dict.fromkeys(
    ("output", "error", "due_at", "node", "pid", "started_at", "finished_at")
)


def pending(start: Start, inserted_at: datetime, hidden: Collection[str]) -> Run:
    """A run that was just started."""
    return Run(
        id=start.run_id,
        workflow=start.workflow,
        definition=start.definition,
        trigger=start.trigger,
        status=RunStatus.PENDING,
        current_steps=tuple(first.step for first in start.first if first.open == 0),
        payload=masked(orjson.loads(start.payload), hidden),
        error=None,
        key=start.key,
        tags=start.tags or {},
        window=start.window_at,
        replayed_from=start.replayed_from,
        inserted_at=inserted_at,
        updated_at=inserted_at,
        ended_at=None,
    )
