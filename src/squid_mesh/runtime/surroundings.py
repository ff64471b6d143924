"""What a body is handed beside stored values: its context and the mesh's resources."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

from squid_mesh.definition.actions import name_of
from squid_mesh.definition.handed import StepContext
from squid_mesh.definition.options import Window
from squid_mesh.definition.spec import Injected, WorkflowSpec
from squid_mesh.errors import InvalidConfig
from squid_mesh.runtime.settings import listed
from squid_mesh.store.records import Claimed

logger = logging.getLogger("squid_mesh.step")


class Resources:
    """The objects given to the mesh, by the names of their types and the types they extend."""

    def __init__(self, objects: Iterable[object]) -> None:
        self._by_type: dict[str, Any] = {}
        problems: list[str] = []
        things: list[object] = listed("resources", objects)
        for thing in things:
            kind = type(thing)
            own = name_of(kind)
            if own in self._by_type and type(self._by_type[own]) is kind:
                problems.append(f"two resources are of type {own}: wrap one in a type of its own")
            self._by_type[own] = thing
            for base in kind.__mro__[1:-1]:
                self._by_type.setdefault(name_of(base), thing)
        if problems:
            raise InvalidConfig(problems)

    def __contains__(self, kind: str) -> bool:
        return kind in self._by_type

    def __getitem__(self, kind: str) -> Any:
        return self._by_type[kind]


def context_of(claimed: Claimed, spec: WorkflowSpec) -> StepContext:
    """The `StepContext` of a claim."""
    facts = {
        "run_id": str(claimed.run_id),
        "workflow": claimed.workflow,
        "step": claimed.step,
        "attempt": claimed.attempt,
    }
    return StepContext(
        run_id=claimed.run_id,
        workflow=claimed.workflow,
        step=claimed.step,
        attempt=claimed.attempt,
        trigger=claimed.trigger,
        idempotency_key=f"{claimed.run_id}:{claimed.step}",
        window=_window(claimed, spec),
        logger=logging.LoggerAdapter(logger, facts),
    )


def _window(claimed: Claimed, spec: WorkflowSpec) -> Window | None:
    if claimed.window_at is None:
        return None
    zone = next((t.timezone for t in spec.triggers if t.name == claimed.trigger), None)
    return Window(claimed.trigger, claimed.window_at.astimezone(ZoneInfo(zone or "Etc/UTC")))


def injected(wire: Injected, claimed: Claimed, spec: WorkflowSpec, resources: Resources) -> Any:
    """What a wire to the surroundings leads to. Raises `LookupError` for what isn't there."""
    if wire.origin == "context":
        return context_of(claimed, spec)
    if wire.origin == "resource" and wire.type is not None and wire.type in resources:
        return resources[wire.type]
    raise LookupError(f"this mesh has no {wire.origin} {wire.type or ''}: pass it in resources=[…]")
