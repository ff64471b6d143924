"""`make bench`: every measurement, a line each, in rounds; compare figures of one call only."""

from __future__ import annotations

import argparse

import uvloop

from bench.chains import latency, percentile, throughput
from bench.floor import floor
from bench.lists import lists
from squid_mesh import embedded


def main() -> None:
    """Measure, each in a database of its own."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lists", type=int, metavar="RUNS", help="only list_runs, among so many")
    options = parser.parse_args()
    if options.lists:
        with embedded.server() as dsn:
            for name, took in uvloop.run(lists(dsn, runs=options.lists)).items():
                print(f"{name:28} {took}")
        return
    for _ in range(options.rounds):
        with embedded.server() as dsn:
            steps = uvloop.run(floor(dsn, runs=options.runs))
        print(f"floor, groups of 200     {steps:7,.0f} steps/s", flush=True)
        for at_a_time in (200, 10):
            with embedded.server() as dsn:
                result = uvloop.run(throughput(dsn, runs=options.runs, at_a_time=at_a_time))
            print(f"chains, {at_a_time:3} at a time   {result}", flush=True)
        with embedded.server() as dsn:
            took = uvloop.run(latency(dsn, runs=300))
        print(
            f"one run after the other  start to finish p50 {percentile(took, 50):.1f} "
            f"p99 {percentile(took, 99):.1f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
