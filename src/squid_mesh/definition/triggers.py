"""Triggers: what starts a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from squid_mesh.definition.options import Window
from squid_mesh.definition.source import author


class Trigger:
    """A declared way to start a run, named by the attribute that it is assigned to."""

    def __init__(self, kind: Literal["manual", "cron"], **options: Any) -> None:
        self.kind = kind
        self.options = options
        self.names: list[str] = []
        self.source = author()

    def __set_name__(self, owner: type, name: str) -> None:
        self.names.append(name)

    def __repr__(self) -> str:
        return f"trigger {self.name!r}"

    @property
    def name(self) -> str:
        """The attribute it is assigned to, or what it is called where none is declared."""
        return self.names[0] if self.names else self.kind


def manual() -> Trigger:
    """Declare a trigger that the application pulls with `start_run`."""
    return Trigger("manual")


def cron(
    expression: str,
    *,
    timezone: str,
    payload: Callable[[Window], Any] | None = None,
    missed: Literal["skip", "latest", "all"] = "latest",
    max_missed: int = 100,
) -> Trigger:
    """Declare a trigger that fires at every window of a cron expression in an IANA time zone.

    * `payload`: a function of the `Window`, async or not, that makes the run's payload when the
      window fires; without one the payload's defaults are used. It may be called again: when it
      fails, a few times, and then the window's run has failed.
    * `missed`: what happens with windows that passed while nothing ran, by more than a minute:
      none of them is started, or the latest, or all (of more than `max_missed` the latest).

    Day of month and day of week are alternatives when both are given, as POSIX has it.
    """
    return Trigger(
        "cron",
        expression=expression,
        timezone=timezone,
        payload=payload,
        missed=missed,
        max_missed=max_missed,
    )
