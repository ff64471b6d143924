"""`make bench`: systems side by side; `make bench ARGS="--studies"`: other loads of Squid Mesh.

Compare figures of one call only: machines are noisy, and so are their neighbours. `--out` keeps the
figures, and `python -m bench.plots` draws them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.side_by_side import SYSTEMS, compare, loads
from bench.studies import STUDIES
from bench.studies.playing import play


def options() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--loads", nargs="+", type=int, help="only these, counted from 1")
    parser.add_argument(
        "--studies", nargs="*", choices=STUDIES, help="these instead of systems, or all"
    )
    parser.add_argument("--cases", nargs="+", help="only these cases of the studies")
    parser.add_argument("--scale", type=float, default=1.0, help="of studies")
    parser.add_argument("--out", type=Path, help="a file of JSON lines to which figures are added")
    return parser.parse_args()


def keep(out: Path | None, **figures: Any) -> None:
    """Add to the file of figures, if there is to be one."""
    if out is not None:
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")


def studies(asked: argparse.Namespace) -> None:
    """Play studies."""
    for name in asked.studies or STUDIES:
        print(f"{name}, scale {asked.scale:g}", flush=True)
        for case, rows in play(name, asked.scale, only=asked.cases):
            keep(asked.out, study=name, case=case, scale=asked.scale, rows=rows)


def systems(asked: argparse.Namespace) -> None:
    """Compare systems."""
    for number, (load, able) in enumerate(loads(asked.runs), 1):
        if asked.loads is None or number in asked.loads:
            print(f"{number}. {load}", flush=True)
            chosen = [system for system in able if system in asked.systems]
            for system, rounds in compare(load, chosen, asked.rounds).items():
                summaries = [measured.summary() for measured in rounds]
                keep(asked.out, load=number, title=str(load), system=system, rounds=summaries)


def main() -> None:
    """Measure."""
    asked = options()
    if asked.studies is None:
        systems(asked)
    else:
        studies(asked)


if __name__ == "__main__":
    main()
