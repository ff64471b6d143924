"""Everything that a process may want to write about an attempt of the run `lone`."""

from dataclasses import replace
from typing import Any

from squid_mesh.engine.states import StepStatus
from squid_mesh.store.records import Claimed, Progress

ERROR = b'{"type": "ValueError", "message": "no", "step": "only", "attempt": 1}'

_KINDS: dict[str, dict[str, Any]] = {
    "completes and goes on": {"output": b"2", "next": "after", "inline": True},
    "completes and hands over": {"output": b"2", "next": "after"},
    "completes and hands over to another queue": {"next": "after", "queue": "other"},
    "completes and ends": {"output": b"2", "ends": True},
    "fails": {"status": StepStatus.FAILED, "error": ERROR, "fails": True},
    "fails over its route": {"status": StepStatus.FAILED, "error": ERROR, "next": "after"},
    "goes on over its route": {
        "status": StepStatus.FAILED,
        "error": ERROR,
        "next": "after",
        "inline": True,
    },
    "is tried again": {"status": StepStatus.SCHEDULED, "error": ERROR, "delay": 3600.0},
    "sleeps": {"status": StepStatus.SCHEDULED, "delay": 3600.0},
    "pauses": {"status": StepStatus.PAUSED},
    "is parked": {"status": StepStatus.PENDING, "needs": "billing:pay"},
}

KINDS = sorted(_KINDS)


def record(kind: str, claimed: Claimed, **changes: Any) -> Progress:
    """What is written of an attempt that ended in this way."""
    base = Progress(
        run_id=claimed.run_id,
        step=claimed.step,
        attempt=claimed.attempt,
        status=StepStatus.COMPLETED,
    )
    return replace(base, **(_KINDS[kind] | changes))
