"""`python -m bench.plots FIGURES FOLDER`: draws what `make bench ARGS="--out FIGURES"` has kept."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

type Figures = Sequence[dict[str, Any]]

NAMES = {
    "squid": "Squid Mesh",
    "dbos": "DBOS",
    "absurd": "Absurd",
    "oban_jobs": "Oban jobs",
    "floor": "floor",
}
COLOURS = {
    "squid": "#1b7f79",
    "dbos": "#c8553d",
    "absurd": "#e0a458",
    "oban_jobs": "#8a8fa3",
    "floor": "#c9cdd6",
}
LOADS = ("200 at a time", "10 at a time", "5 ms of I/O", "sync steps", "20 kB outputs")
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#e4e6eb",
    "svg.hashsalt": "squid mesh",
    "svg.fonttype": "none",
    "legend.frameon": False,
}


def throughput(figures: Figures) -> Figure:
    """Steps a second of every system under every load, on a logarithmic scale."""
    figure = Figure(figsize=(9, 4))
    axes = figure.add_subplot()
    _bars(axes, figures, "rate")
    axes.set_yscale("log")
    axes.set_ylabel("durable steps/s (logarithmic)")
    axes.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, 1.12))
    return figure


def latency(figures: Figures) -> Figure:
    """One run alone, and from step to step under load."""
    figure = Figure(figsize=(9, 3.6))
    left, right = figure.subplots(1, 2)
    alone = {one["system"]: _median(one, "idle_p50") for one in figures if one.get("load") == 1}
    gaps = {one["system"]: _median(one, "gap_p99") for one in figures if one.get("load") == 1}
    for axes, found, title in (
        (left, alone, "one run of five steps alone, p50"),
        (right, gaps, "from step to step at 200 at a time, p99"),
    ):
        systems = [system for system in NAMES if found.get(system, 0) > 0]
        shown = axes.bar(
            [NAMES[s] for s in systems],
            [found[s] for s in systems],
            color=[COLOURS[s] for s in systems],
        )
        axes.bar_label(shown, fmt="{:,.1f}")
        axes.set_title(title, fontsize=10)
        axes.tick_params("x", labelsize=9)
        axes.set_ylabel("ms")
    right.set_yscale("log")
    right.set_ylabel("ms (logarithmic)")
    return figure


def endurance(figures: Figures) -> Figure:
    """Ten minutes: the rate, the tables, and the memory of the process."""
    rows = _rows(figures, "endurance", "endurance")
    figure = Figure(figsize=(9, 5.4))
    minutes = [row["minute"] for row in rows]
    panels = figure.subplots(3, 1, sharex=True)
    for axes, name, colour in zip(
        panels,
        ("steps/s", "tables MiB", "process MiB"),
        (COLOURS["squid"], COLOURS["dbos"], COLOURS["oban_jobs"]),
        strict=True,
    ):
        values = [row[name] for row in rows]
        axes.plot(minutes, values, color=colour)
        axes.set_ylabel(name)
        axes.set_ylim(0, max(values) * 1.2)
    panels[-1].set_xlabel("minutes")
    return figure


def scale(figures: Figures) -> Figure:
    """Worker processes, and the length of runs."""
    figure = Figure(figsize=(9, 3.4))
    left, right = figure.subplots(1, 2)
    several = [row for one in _cases(figures, "processes") for row in one["rows"]]
    left.bar(
        [f"{row['workers']:g}" for row in several],
        [row["steps/s"] for row in several],
        color=COLOURS["squid"],
        width=0.5,
    )
    left.set_title("worker processes on two cores", fontsize=10)
    left.set_ylabel("steps/s")
    lengths = [row for one in _cases(figures, "long_runs") for row in one["rows"]]
    for name, colour in (("client", COLOURS["squid"]), ("server", COLOURS["dbos"])):
        right.plot(
            [row["steps a run"] for row in lengths],
            [row[f"{name} µs a step"] for row in lengths],
            marker="o",
            color=colour,
            label=name,
        )
    right.set_xscale("log")
    right.set_ylim(bottom=0)
    right.set_title("CPU of a step, by the steps of its run", fontsize=10)
    right.set_ylabel("µs")
    right.legend()
    return figure


PLOTS = {"throughput": throughput, "latency": latency, "endurance": endurance, "scale": scale}


def main(kept: str, folder: str) -> None:
    """Draw everything."""
    mpl.rcParams.update(STYLE)
    lines = Path(kept).read_text(encoding="utf-8").splitlines()
    figures = [json.loads(line) for line in lines]
    for name, draw in PLOTS.items():
        figure = draw(figures)
        figure.tight_layout()
        figure.savefig(Path(folder, f"{name}.svg"), metadata={"Date": None, "Creator": None})


def _bars(axes: Axes, figures: Figures, value: str) -> None:
    width = 0.8 / len(NAMES)
    for place, (system, name) in enumerate(NAMES.items()):
        found = {one["load"]: one for one in figures if one.get("system") == system}
        at = [load - 1 + (place - 2) * width for load in found]
        heights = [_median(one, value) for one in found.values()]
        axes.bar(at, heights, width, label=name, color=COLOURS[system])
    axes.set_xticks(range(len(LOADS)), LOADS)


def _median(one: dict[str, Any], value: str) -> float:
    return median(measured[value] for measured in one["rounds"])


def _cases(figures: Figures, study: str) -> list[dict[str, Any]]:
    return [one for one in figures if one.get("study") == study]


def _rows(figures: Figures, study: str, case: str) -> list[dict[str, Any]]:
    return next(one["rows"] for one in _cases(figures, study) if one["case"] == case)


if __name__ == "__main__":
    main(*sys.argv[1:])
