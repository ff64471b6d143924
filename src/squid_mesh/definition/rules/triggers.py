"""Rules on triggers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from squid_mesh.definition.rules.finding import Finding, repeated
from squid_mesh.definition.spec import TriggerSpec, WorkflowSpec

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_FIELDS = 5
_MISSED = ("skip", "latest", "all")


def triggers(spec: WorkflowSpec) -> Iterator[Finding]:
    """There is a trigger, and each can fire."""
    if not spec.triggers:
        yield Finding(None, "at least one trigger is required: write `manual()` or `cron(…)`")
    yield from repeated("trigger", (trigger.name for trigger in spec.triggers))
    for trigger in spec.triggers:
        if trigger.kind == "cron":
            place = ("trigger", trigger.name)
            yield from (Finding(place, message) for message in _cron(trigger))


def _cron(trigger: TriggerSpec) -> Iterator[str]:
    name = f"trigger {trigger.name!r}"
    if not trigger.expression or not trigger.timezone:
        yield (
            f"{name} must define a cron expression and timezone: "
            'write cron("0 9 * * 1-5", timezone="Etc/UTC")'
        )
        return
    if (why := _unfireable(trigger.expression)) is not None:
        yield (
            f"{name} has no valid cron expression ({why}): write five fields, minute hour day "
            'month weekday, such as "0 9 * * 1-5"'
        )
    if not _is_timezone(trigger.timezone):
        yield (
            f"{name} names the unknown timezone {trigger.timezone!r}: "
            'write an IANA name such as "Europe/Lisbon"'
        )
    if trigger.missed is not None and trigger.missed not in _MISSED:
        yield f"{name} has missed={trigger.missed!r}: write one of {', '.join(map(repr, _MISSED))}"
    if trigger.max_missed is not None and trigger.max_missed < 1:
        yield f"{name} requires a positive max_missed: write max_missed=100"


def _unfireable(expression: str) -> str | None:
    if len(expression.split()) != _FIELDS:
        return f"{expression!r} has {len(expression.split())} fields"
    try:
        CronSim(expression, _EPOCH)
    except CronSimError as error:
        return str(error)
    return None


def _is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
