"""Systems side by side: each load in rounds, each measurement on a fresh embedded Postgres."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from statistics import median

from bench.load import Load, Measured, percentile
from squid_mesh import embedded

SYSTEMS = ("squid", "dbos", "absurd", "oban_jobs", "floor", "flushes")
SYNC = ("squid", "dbos")
"""Those that have sync steps of their own."""


def loads(runs: int) -> list[tuple[Load, Sequence[str]]]:
    """What is measured, and of which systems."""
    fewer = runs // 2
    return [
        (Load(runs, 200), SYSTEMS),
        (Load(fewer, 10), SYSTEMS[:-2]),
        (Load(fewer, 200, io_ms=5), SYSTEMS[:-2]),
        (Load(fewer, 200, sync=True), SYNC),
        (Load(fewer, 200, size=20_000), SYSTEMS[:3]),
    ]


def measure(system: str, load: Load) -> Measured:
    """One system under one load, in a process of its own on a server of its own."""
    with embedded.server() as dsn:
        command = [sys.executable, "-m", "bench.systems", system, dsn, load.dump()]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured.load(done.stdout.splitlines()[-1])


def line(system: str, rounds: Sequence[Measured]) -> str:
    """The medians of a system's rounds, and its rates."""

    def of(value: str) -> float:
        return median(getattr(one, value) / one.steps for one in rounds)

    rates = sorted(one.rate for one in rounds)
    gaps = [gap for one in rounds for gap in one.gaps]
    idle = [took for one in rounds for took in one.idle]
    return (
        f"  {system:10} {median(rates):8,.0f} steps/s ({rates[0]:,.0f}-{rates[-1]:,.0f})  "
        f"{of('commits'):5.3f} commits  {of('wal_bytes'):6,.0f} B WAL  "
        f"{median(one.wal_fpi for one in rounds):5,.0f} fpi  "
        f"client {of('client_seconds') * 1e6:5.0f} µs  "
        f"server {of('server_seconds') * 1e6:5.0f} µs  "
        f"gap p50 {percentile(gaps, 50):6.1f} p99 {percentile(gaps, 99):6.1f} ms  "
        f"idle p50 {percentile(idle, 50):5.1f} p99 {percentile(idle, 99):5.1f} ms  "
        f"{median(one.peak_bytes for one in rounds) / 2**20:4.0f} MiB"
    )


def ratios(found: Mapping[str, Sequence[Measured]]) -> str:
    """How many times Squid Mesh is as fast as each other system, by medians."""
    ours = median(one.rate for one in found["squid"])
    others = {name: median(one.rate for one in rounds) for name, rounds in found.items()}
    shown = (f"{ours / rate:.2f} × {name}" for name, rate in others.items() if name != "squid")
    return "  squid is " + ", ".join(shown)


def compare(load: Load, systems: Sequence[str], rounds: int) -> dict[str, list[Measured]]:
    """Measure systems under one load, in turn, so that a machine's moods meet all of them."""
    found: dict[str, list[Measured]] = {system: [] for system in systems}
    for _ in range(rounds):
        for system in systems:
            found[system].append(measure(system, load))
    for system in systems:
        print(line(system, found[system]), flush=True)
    if "squid" in found and len(found) > 1:
        print(ratios(found), flush=True)
    return found
