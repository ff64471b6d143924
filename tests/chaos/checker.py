"""What must be so when all has come to rest. Reads the database and the ledger, nothing else.

Each query finds what must not be, a row for each case.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection

from tests.chaos.plan import Kind
from tests.chaos.shapes import BUILT_IN, ENDINGS, PLANNED, TRANSACTIONAL
from tests.clock import every
from tests.laws.worlds import unsound


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be, and where it is."""

    what: str
    where: str

    def __str__(self) -> str:
        return f"{self.what}: {self.where}"


_QUERIES = {
    # lost, stuck
    "a run was started, and isn't there": """
        select p.run from chaos.promises p left join squid_mesh.runs r on r.id = p.run
        where p.kind in ('started', 'replayed') and r.id is null""",
    "a run hasn't ended": """
        select r.id, r.workflow, r.status, string_agg(
          concat_ws(' ', s.step, s.status, s.needs, j.state), ', ' order by s.step)
        from squid_mesh.runs r left join squid_mesh.steps s on s.run_id = r.id
          left join oban_jobs j on j.id = s.job_id and s.due_at is not null
        where r.outcome is null group by r.id""",
    "a host's row and its run aren't together": """
        select o.key, r.id from chaos.orders o
          full join (select id, tags ->> 'order' as key from squid_mesh.runs
                     where tags ? 'order' and replayed_from is null) r using (key)
        where o.key is null or r.id is null""",
    "somebody heard of another end": """
        select r.id, r.status, p.detail from chaos.promises p join squid_mesh.runs r on r.id = p.run
        where p.kind = 'ended' and r.status <> p.detail""",
    # doubled
    "a claim had two bodies": """
        select run, step, attempt from chaos.bodies group by run, step, attempt
        having count(*) > 1""",
    "a key was of two steps": """
        select key from chaos.bodies group by key having count(distinct (run, step)) > 1""",
    "a body began that the history doesn't know": """
        select b.run, b.step, b.attempt from chaos.bodies b
          left join squid_mesh.step_attempts a
            on a.run_id = b.run and a.step = b.step and a.number = b.attempt
        where a.run_id is null""",
    "an attempt came to an end without a body": """
        select a.run_id, a.step, a.number, a.status from squid_mesh.step_attempts a
          left join chaos.bodies b
            on a.run_id = b.run and a.step = b.step and a.number = b.attempt
        where b.run is null and a.status in ('completed', 'failed')
          and a.step <> all(%(built_in)s)""",
    "a body was repeated without need": """
        select b.run, b.step, b.n as bodies, coalesce(a.n, 0) as broken
        from (select run, step, count(*) as n from chaos.bodies group by run, step) b
          left join (select run_id, step, count(*) as n from squid_mesh.attempts
                     where status in ('failed', 'interrupted', 'cancelled') group by run_id, step) a
            on a.run_id = b.run and a.step = b.step
          join squid_mesh.steps s on s.run_id = b.run and s.step = b.step
        where b.n > coalesce(a.n, 0) + (s.status = 'completed')::int""",
    "a transactional step hasn't one effect": """
        select s.run_id, s.step, s.attempt, count(e.run) as effects
        from squid_mesh.steps s
          left join chaos.effects e
            on e.run = s.run_id and e.step = s.step and e.attempt = s.attempt
        where s.step = any(%(transactional)s) and s.status = 'completed'
        group by s.run_id, s.step having count(e.run) <> 1""",
    "an effect is of no completed step": """
        select e.run, e.step, e.attempt from chaos.effects e
          left join squid_mesh.steps s on s.run_id = e.run and s.step = e.step
            and s.attempt = e.attempt and s.status = 'completed'
        where s.run_id is null""",
    # failures and interruptions
    "an attempt failed as nobody meant it to": """
        select run_id, step, number, error ->> 'message' from squid_mesh.attempts
        where status = 'failed' and error ->> 'message' is distinct from %(planned)s""",
    "a body was interrupted by nobody": """
        select a.run_id, a.step, a.number, a.claim from squid_mesh.attempts a
        where a.status = 'interrupted' and not exists (
          select from chaos.faults f where f.kind = any(%(of_server)s)
            or f.boot = a.claim and f.kind = any(%(of_worker)s))""",
    # audit
    "an interruption isn't in the audit, or is twice": """
        select run_id, step, count(a.*), max(e.n)
        from squid_mesh.attempts a
          full join (select run_id, step, count(*) as n from squid_mesh.audit_events
                     where type = 'interrupted' group by run_id, step) e using (run_id, step)
        where a.status = 'interrupted' or a.run_id is null
        group by run_id, step having count(a.*) is distinct from max(e.n)""",
    "a gate was passed, and the audit doesn't say how": """
        select s.run_id, s.step from squid_mesh.steps s
        where s.step in ('gate', 'review') and s.status = 'completed' and (
          select array_agg(type order by id) from squid_mesh.audit_events e
          where e.run_id = s.run_id and e.step = s.step and type <> 'interrupted')
          not in (array['paused', 'resumed'], array['paused', 'approved'],
                  array['paused', 'rejected'], array['paused', 'timed_out'])""",
    "a decision isn't in the audit": """
        select p.run, p.kind, p.detail from chaos.promises p
        where p.kind in ('approved', 'rejected', 'resumed', 'resolved') and 1 <> (
          select count(*) from squid_mesh.audit_events e
          where e.run_id = p.run and e.key = p.detail and e.type = p.kind)""",
    "a cancelled run isn't, or the audit doesn't say so": """
        select r.id, r.status, p.run is not null as promised, e.n
        from squid_mesh.runs r
          left join (select distinct run from chaos.promises where kind = 'cancelled') p
            on p.run = r.id
          left join (select run_id, count(*) as n from squid_mesh.audit_events
                     where type = 'cancelled' group by run_id) e on e.run_id = r.id
        where p.run is not null and r.status <> 'cancelled'
          or coalesce(e.n, 0) <> (r.status = 'cancelled')::int""",
    "a step began after its run was cancelled": """
        select a.run_id, a.step, a.number from chaos.promises p
          join squid_mesh.step_attempts a on a.run_id = p.run
        where p.kind = 'cancelled' and a.started_at > p.at""",
    "a replay isn't in the audit": """
        select r.id from squid_mesh.runs r
        where r.replayed_from is not null and 1 <> (
          select count(*) from squid_mesh.audit_events e
          where e.run_id = r.id and e.type = 'replayed')""",
    # windows
    "a window was left out": """
        select w.window_at, w.before from (
          select window_at, lag(window_at) over (order by window_at) as before
          from squid_mesh.runs where window_at is not null) w
        where w.window_at - w.before <> interval '1 minute'""",
    "a window that is due wasn't fired": """
        select s.workflow, s.last_window, s.next_window, squid_mesh.now(), j.state, j.scheduled_at
        from squid_mesh.schedules s left join oban_jobs j on j.id = s.job_id
        where s.next_window < squid_mesh.now() and not s.paused
          or s.last_window is distinct from (select max(window_at) from squid_mesh.runs)""",
    # leases
    "somebody holds a step": """
        select run_id, step, claim from squid_mesh.steps where status = 'running'""",
    "a lease outlives its worker": """
        select w.boot from squid_mesh.workers w
        where w.alive_at > clock_timestamp() - interval '1 second' and not exists (
          select from chaos.faults f where f.boot = w.boot and f.kind = %(killed)s)""",
    # data
    "a join has lost what its steps said": """
        select run_id, output from squid_mesh.steps
        where step = 'end' and status = 'completed' and output #>> '{}' <> 'x0+x1+x2+x3'""",
}

_PARAMETERS = {
    "built_in": sorted(BUILT_IN),
    "transactional": sorted(TRANSACTIONAL),
    "planned": PLANNED,
    "killed": Kind.KILLED,
    "of_server": [Kind.SERVER_CRASHES, Kind.SERVER_KILLED, Kind.SERVER_RESTARTED],
    "of_worker": [Kind.KILLED, Kind.STOPPED, Kind.ENDED, Kind.CUT],
}

_RUNS = """
select r.id, r.workflow, r.status, r.payload,
       array(select distinct concat_ws(' ', type, step) from squid_mesh.audit_events e
             where e.run_id = r.id)
from squid_mesh.runs r where r.outcome in ('completed', 'failed')
"""
_STEPS = "select run_id, step, status from squid_mesh.steps"


async def check(dsn: str) -> list[Finding]:
    """Everything that isn't as it must be."""
    found = [Finding("the tables contradict themselves", _text(row)) for row in await unsound(dsn)]
    async with await AsyncConnection.connect(dsn) as connection:
        for what, query in _QUERIES.items():
            cursor = await connection.execute(query.encode(), _PARAMETERS)
            found += [Finding(what, _text(row)) for row in await cursor.fetchall()]
    return found + await _other_ends(dsn)


async def _other_ends(dsn: str) -> list[Finding]:
    """Runs that ended otherwise than their definition says."""
    steps: defaultdict[UUID, dict[str, str]] = defaultdict(dict)
    for run_id, step, status in await every(dsn, _STEPS):
        steps[run_id][step] = status
    return [
        Finding(f"{workflow} ended otherwise", f"{run_id}: {problem}, {sorted(events)}")
        for run_id, workflow, status, payload, events in await every(dsn, _RUNS)
        for problem in ENDINGS[workflow](payload, events).problems(status, steps[run_id])
    ]


def _text(row: tuple[object, ...]) -> str:
    return ", ".join(map(str, row))
