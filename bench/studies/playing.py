"""Plays the cases of a study, each in a process of its own on a server of its own."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Container, Iterator

from bench.studies import Row
from squid_mesh import embedded


def play(name: str, scale: float, only: Container[str] | None) -> Iterator[tuple[str, list[Row]]]:
    """Every case with its rows, which are printed as they come."""
    module = importlib.import_module(f"bench.studies.{name}")
    settings: dict[str, str] = getattr(module, "SETTINGS", {})
    for case in module.CASES:
        if only is None or case in only:
            with embedded.server(settings=settings) as dsn:
                rows = _measured(name, case, dsn, scale)
            for row in rows:
                print("  " + "  ".join(map(_shown, row.items())), flush=True)
            yield case, rows


def _measured(name: str, case: str, dsn: str, scale: float) -> list[Row]:
    command = [sys.executable, "-m", "bench.studies", name, case, dsn, str(scale)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    rows: list[Row] = json.loads(done.stdout.splitlines()[-1])
    return rows


def _shown(figure: tuple[str, float | str]) -> str:
    name, value = figure
    if isinstance(value, str):
        return f"{name}: {value}"
    return f"{name}: {value:,.0f}" if abs(value) >= 100 else f"{name}: {value:,.3g}"
