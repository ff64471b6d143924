"""`make chaos`: workers under load and under attack, and whether everything ended as it must."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from tests.chaos.recovery import DEFAULTS, QUICK, measure
from tests.chaos.stage import Play, perform
from tests.chaos.worker import LOG


def main() -> int:
    """Play it, and tell what came of it; 1 when something isn't as it must be."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same plan")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, help="instead of minutes")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--faults", type=float, default=2.2, help="a second")
    parser.add_argument("--recovery", action="store_true", help="measure recovery from kills alone")
    options = parser.parse_args()
    if options.recovery:
        keep_log(Play().log)
        return recover(options.workers)
    seconds = options.minutes * 60 if options.seconds is None else options.seconds
    return play(
        Play(seed=options.seed, seconds=seconds, workers=options.workers, faults=options.faults)
    )


def play(play: Play) -> int:
    """Workers, generator and villain, all at once."""
    keep_log(play.log)
    report = asyncio.run(perform(play))
    for line in report.lines():
        print(line)
    if report.findings:
        print(f"what the processes said: {play.log}")
    return 1 if report.findings else 0


def recover(workers: int) -> int:
    """Kills alone, of workers whose queues are full, with the default pace and a quick one."""
    for pace, kills in ((DEFAULTS, 6), (QUICK, 15)):
        print(asyncio.run(measure(pace, workers=workers, kills=kills, runs=15_000)), flush=True)
    return 0


def keep_log(file: Path) -> None:
    """Keep what workers, villain and crew say in one file, from this run alone."""
    file.unlink(missing_ok=True)
    logging.basicConfig(filename=file, level=logging.WARNING, format=LOG)
    logging.getLogger("tests.chaos").setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
