"""The figures of a chaos run, and how they read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.checker import Finding
from tests.chaos.plan import Kind
from tests.clock import every, one

_FAULTS = "select kind, count(*) from chaos.faults group by kind order by kind"
_RUNS = "select workflow, status, count(*) from squid_mesh.runs group by 1, 2 order by 1, 2"
_COUNTS = """
select (select count(*) from squid_mesh.steps where status = 'completed'),
       (select count(*) from chaos.bodies),
       (select count(*) from (select from chaos.bodies group by key having count(*) > 1) r),
       (select count(*) from squid_mesh.attempts where status = 'interrupted'),
       (select count(*) from squid_mesh.attempts a
        where status = 'interrupted' and exists (
          select from chaos.bodies b
          where b.run = a.run_id and b.step = a.step and b.attempt = a.number)),
       (select coalesce(sum(bodies), 0) from chaos.faults where kind = %s)
"""
# From a kill to the next body of a step that it interrupted.
_RECOVERIES = """
select extract(epoch from later.at - f.began)::float8
from chaos.faults f
  join squid_mesh.attempts a on a.claim = f.boot and a.status = 'interrupted'
  join chaos.bodies b on b.run = a.run_id and b.step = a.step and b.attempt = a.number
  cross join lateral (
    select min(n.at) as at from chaos.bodies n
    where n.run = a.run_id and n.step = a.step and n.attempt > a.number) later
where f.kind = %s and b.at <= f.began and later.at > f.began
order by 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened, and what must not have."""

    seed: int
    seconds: float
    settled: float
    """Seconds from the last start to the end of the last run."""
    faults: dict[str, int]
    missed: int
    boots: int
    runs: dict[tuple[str, str], int]
    steps: int
    bodies: int
    repeated: int
    """Steps whose body began more than once, planned retries included."""
    interrupted: int
    interrupted_bodies: int
    in_flight: int
    """Bodies under way at the moment of a kill, of all kills."""
    recoveries: Sequence[float]
    findings: Sequence[Finding]

    @property
    def total(self) -> int:
        """Runs."""
        return sum(self.runs.values())

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"seed {self.seed}, {self.seconds:g} s, at rest {self.settled:.1f} s later"
        yield f"{sum(self.faults.values())} faults ({self.missed} more met nobody)"
        yield from (f"  {count:5} × {kind}" for kind, count in self.faults.items())
        yield f"{self.total} runs, {self.steps} steps completed, {self.boots} boots of workers"
        yield from (f"  {n:5} × {flow} {status}" for (flow, status), n in self.runs.items())
        yield (
            f"{self.bodies} bodies; {self.interrupted} attempts interrupted, "
            f"{self.interrupted_bodies} of them with a body; {self.in_flight} under way at kills"
        )
        yield f"from a kill to the next body: {percentiles(self.recoveries)}"
        yield f"{len(self.findings)} findings" if self.findings else "0 lost, 0 doubled, 0 stuck"
        yield from (f"  {finding}" for finding in self.findings[:50])


def percentiles(seconds: Sequence[float]) -> str:
    """Of sorted times."""
    if not seconds:
        return "none"
    of = [seconds[min(len(seconds) * part // 100, len(seconds) - 1)] for part in (50, 99, 100)]
    return "p50 {:.1f} s, p99 {:.1f} s, max {:.1f} s, of {}".format(*of, len(seconds))


async def recoveries(dsn: str) -> list[float]:
    """Seconds from each kill to the next body of each step that it interrupted, in order."""
    return [seconds for (seconds,) in await every(dsn, _RECOVERIES, Kind.KILLED)]


async def figures(dsn: str) -> dict[str, object]:
    """What the database and the ledger say of a run of chaos: part of a report."""
    counts = await one(dsn, _COUNTS, Kind.KILLED)
    names = "steps", "bodies", "repeated", "interrupted", "interrupted_bodies", "in_flight"
    return {
        "faults": dict(await every(dsn, _FAULTS)),
        "runs": {(flow, status): n for flow, status, n in await every(dsn, _RUNS)},
        "recoveries": await recoveries(dsn),
        **dict(zip(names, counts, strict=True)),
    }
