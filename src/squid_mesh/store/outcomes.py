"""What the rows of a flush say of its records: they are the exceptions only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from squid_mesh.engine.states import RunStatus
from squid_mesh.store.committer import BUSY, Busy
from squid_mesh.store.records import Advanced, Ended, Outcome, Progress, Stale, Stopped


def outcomes_of(records: list[Progress], rows: Sequence[tuple[Any, ...]]) -> list[Outcome | Busy]:
    """One outcome a record: accepted as asked for, unless a row of the flush says otherwise."""
    outcomes: list[Outcome | Busy] = [
        Advanced(record.next if record.inline else None) for record in records
    ]
    exceptions = {row[0]: set(row[-1]) for row in rows if row[-1] is not None}
    everyone = set(range(len(records)))
    for number in everyone - exceptions.get("done", everyone):
        outcomes[number] = Stale()
    for number in everyone - exceptions.get("locked", everyone):
        outcomes[number] = BUSY
    for number in exceptions.get("gone", ()):
        outcomes[number] = Stale()
    for kind, number, *step, _ in rows:
        if kind not in _OF_THE_GROUP:
            outcomes[number] = _outcome(kind, *step)
    return outcomes


_OF_THE_GROUP = frozenset({"locked", "done", "gone"})
"""Rows that list records: those whose run was locked, those accepted, those whose run is gone."""


def _outcome(kind: str, step: str | None = None) -> Outcome:
    match kind:
        case "joined" | "taken":
            return Advanced(step)
        case "asleep":
            return Advanced(None, job=int(step or 0))
        case "stopped":
            return Stopped()
        case status:
            return Ended(RunStatus(status))
