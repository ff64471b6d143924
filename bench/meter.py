"""Counts what a stretch of work cost: time, commits, WAL, CPU on both sides, memory."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg

from bench.load import Measured

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Reading:
    at: float
    commits: int
    wal_bytes: float
    wal_fpi: int
    client_seconds: float
    server_seconds: float


class Meter:
    """A context manager around a stretch of work; `measured()` afterwards.

    Commits are counted by transaction ids that were used up, which are exact at once; Postgres' own
    counter of commits lags behind for idle backends. Full-page images are Postgres' own count.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def __enter__(self) -> Self:
        self._before = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self._after = self._read()

    def measured(
        self, steps: int, gaps: Sequence[float] = (), idle: Sequence[float] = ()
    ) -> Measured:
        """The difference."""
        before, after = self._before, self._after
        return Measured(
            steps=steps,
            seconds=after.at - before.at,
            commits=after.commits - before.commits,
            wal_bytes=after.wal_bytes - before.wal_bytes,
            wal_fpi=after.wal_fpi - before.wal_fpi,
            client_seconds=after.client_seconds - before.client_seconds,
            server_seconds=after.server_seconds - before.server_seconds,
            peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            gaps=list(gaps),
            idle=list(idle),
        )

    def _read(self) -> _Reading:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            row: Any = connection.execute(
                "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint,"
                " (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8,"
                " (select wal_fpi from pg_stat_wal)"
            ).fetchone()
        return _Reading(
            time.perf_counter(), row[0], row[1], row[2], time.process_time(), _server_seconds()
        )


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
