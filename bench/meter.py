"""Counts what a stretch of work cost: time, commits, WAL, CPU on both sides."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one stretch cost in all."""

    seconds: float
    commits: int
    wal_bytes: float
    client_seconds: float
    server_seconds: float


class Meter:
    """A context manager around a stretch of work; `cost()` afterwards.

    Commits are counted by transaction ids that were used up (`xids`), which are exact at once;
    Postgres' own counter of commits lags behind for idle backends.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def __enter__(self) -> Self:
        self._before = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self._after = self._read()

    def cost(self) -> Cost:
        """The difference."""
        before, after = self._before, self._after
        return Cost(*(b - a for a, b in zip(before, after, strict=True)))

    def _read(self) -> tuple[float, int, float, float, float]:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            row: Any = connection.execute(
                "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint,"
                " (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8"
            ).fetchone()
        return time.perf_counter(), row[0], row[1], time.process_time(), _server_seconds()


def _server_seconds() -> float:
    """CPU time of every Postgres process that lives now."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition(") ")
        except OSError:
            continue
        if name.endswith("(postgres"):
            fields = rest.split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
    return total
