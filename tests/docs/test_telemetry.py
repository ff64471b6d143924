"""docs/telemetry.md: its tables say what the code has. Its examples are executed by test_pages."""

import re
from dataclasses import fields
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from squid_mesh import telemetry
from squid_mesh.integrations.otel.meters import _STATUSES, Meters
from squid_mesh.telemetry import Event, RunEvent, StepEvent

PAGE = Path(__file__).parents[2] / "docs" / "telemetry.md"


def rows(head: str) -> list[list[str]]:
    """The rows of the table that begins so, a list of cells each."""
    text = PAGE.read_text(encoding="utf-8")
    lines = text[text.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def of_class(event: type[Event]) -> list[str]:
    """The fields that it has besides those of its kind."""
    common = StepEvent if issubclass(event, StepEvent) else RunEvent
    return [f.name for f in fields(event) if f.name not in {c.name for c in fields(common)}]


def test_the_table_of_events_is_the_code() -> None:
    named = {quoted(name)[0]: quoted(has) for name, has, _ in rows("| event |")}
    public = [getattr(telemetry, name) for name in telemetry.__all__]
    events = {
        thing.__name__: of_class(thing)
        for thing in public
        if isinstance(thing, type)
        and issubclass(thing, RunEvent)
        and thing not in {RunEvent, StepEvent}
    }
    assert named == events


def test_the_table_of_metrics_is_the_code() -> None:
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    made = {
        instrument.name: (type(instrument).__name__.removeprefix("_"), instrument.unit)
        for instrument in vars(Meters(provider)).values()
        if hasattr(instrument, "unit")
    }
    kinds = {"counter": "Counter", "histogram": "Histogram", "gauge": "ObservableGauge"}
    table = rows("| metric |")
    said = {quoted(name)[0]: (kinds[kind], quoted(unit)[0]) for name, kind, unit, _ in table}
    assert said == made


def test_the_table_of_metrics_has_every_status_of_steps() -> None:
    (by,) = (by for name, *_, by in rows("| metric |") if quoted(name) == ["squid_mesh.steps"])
    assert sorted(quoted(by)[1:]) == sorted(_STATUSES.values())
    assert set(_STATUSES) == {
        kind
        for kind in vars(telemetry).values()
        if isinstance(kind, type) and issubclass(kind, StepEvent) and kind is not StepEvent
    }
