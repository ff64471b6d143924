"""From rows to models."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from squid_mesh.definition.handed import StepFailure
from squid_mesh.definition.secrets import MASK, NO_SECRETS, Secrets
from squid_mesh.definition.spec import WorkflowSpec
from squid_mesh.engine.states import RunStatus
from squid_mesh.inspection.models import Run, Schedule
from squid_mesh.store.records import Start

type Row = Mapping[str, Any]


def run(
    row: Row,
    hidden: Collection[str] = (),
    secrets: Secrets = NO_SECRETS,
    *,
    created: bool = True,
) -> Run:
    """A run from its row; the payload fields in `hidden` hold secrets."""
    return Run(**run_fields(row, hidden, secrets), created=created)


def masked(payload: Any, hidden: Collection[str]) -> Any:
    """A payload without its secrets: without each field that has any."""
    if not hidden:
        return payload
    return {name: MASK if name in hidden else value for name, value in dict(payload).items()}


def secrets(spec: WorkflowSpec) -> frozenset[str]:
    """The payload fields that hold secrets."""
    return frozenset(field.name for field in spec.payload.fields if field.secret)


def run_fields(row: Row, hidden: Collection[str], secrets: Secrets) -> dict[str, Any]:
    """The fields of a run from its row."""
    return {
        "id": row["id"],
        "workflow": row["workflow"],
        "definition": row["definition"],
        "trigger": row["trigger"],
        "status": RunStatus(row["status"]),
        "current_steps": tuple(row["current_steps"]),
        "payload": masked(row["payload"], hidden),
        "error": failure(row["error"], secrets),
        "key": row["key"],
        "tags": row["tags"],
        "window": row["window_at"],
        "replayed_from": row["replayed_from"],
        "inserted_at": row["inserted_at"],
        "updated_at": row["updated_at"],
        "ended_at": row["ended_at"],
    }


def failure(stored: Any, secrets: Secrets = NO_SECRETS) -> StepFailure | None:
    """A stored error."""
    return None if stored is None else StepFailure(**secrets.hide_in(stored))


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
