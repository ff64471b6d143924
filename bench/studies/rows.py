"""What rows are made of."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from bench.load import Measured, percentile
from bench.studies import Row


def spread(name: str, seconds: Sequence[float]) -> Row:
    """Median, 99th percentile and longest of some durations, in milliseconds."""
    return {
        f"{name} p50 ms": percentile(seconds, 50),
        f"{name} p99 ms": percentile(seconds, 99),
        f"{name} max ms": max(seconds, default=float("nan")) * 1000,
    }


def costs(measured: Measured) -> Row:
    """What a step cost."""
    steps = measured.steps
    row: Row = {
        "steps/s": measured.rate,
        "commits a step": measured.commits / steps,
        "WAL B a step": measured.wal_bytes / steps,
        "fpi": measured.wal_fpi,
        "client µs a step": measured.client_seconds / steps * 1e6,
        "server µs a step": measured.server_seconds / steps * 1e6,
        "peak MiB": measured.peak_bytes / 2**20,
    }
    if measured.gaps:
        row["gap p50 ms"] = median(measured.gaps) * 1000
        row["gap p99 ms"] = percentile(measured.gaps, 99)
    return row
