"""`make bench`: every measurement, a line each."""

from __future__ import annotations

import argparse

import uvloop

from bench.chains import show, throughput
from squid_mesh import embedded


def main() -> None:
    """Measure, each in a database of its own."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for _ in range(options.rounds):
        for at_a_time in (200, 10):
            with embedded.server() as dsn:
                cost = uvloop.run(throughput(dsn, runs=options.runs, at_a_time=at_a_time))
            print(show(f"chains, {at_a_time} at a time", cost, options.runs), flush=True)


if __name__ == "__main__":
    main()
