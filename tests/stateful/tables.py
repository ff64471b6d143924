"""The database as the model describes it."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from tests.stateful.model import RunRow, StepRow

_RUNS = """
select r.id, r.status, r.running, r.queued, r.retrying, r.paused, r.open_ends,
  r.begun_at is not null as has_begun,
  coalesce(s.steps, '{}') as steps, coalesce(a.attempts, '[]') as attempts,
  coalesce(e.audit, '[]') as audit
from squid_mesh.runs r
left join lateral (
  select json_object_agg(s.step, json_build_object(
    'status', s.status, 'attempt', s.attempt, 'open_dependencies', s.open_dependencies,
    'claim', case when s.status = 'running' then s.claim end,
    'due_in', extract(epoch from s.due_at - squid_mesh.now())::float8,
    'job', case when s.status in ('pending', 'scheduled') then exists (
       select from oban_jobs j where j.id = s.job_id and j.state in ('available', 'scheduled')
         and j.args->>'run' = r.id::text and j.args->>'step' = s.step
         and j.queue = coalesce(s.queue, 'squid_mesh')) end,
    'output', s.output, 'has_error', s.error is not null)) as steps
  from squid_mesh.steps s where s.run_id = r.id) s on true
left join lateral (
  select json_agg(json_build_array(a.step, a.number, a.status)) as attempts
  from squid_mesh.step_attempts a where a.run_id = r.id) a on true
left join lateral (
  select json_agg(json_build_array(e.type, e.step)) as audit
  from squid_mesh.audit_events e where e.run_id = r.id) e on true
"""

_EMPTY = """
delete from squid_mesh.runs; delete from squid_mesh.workers; delete from squid_mesh.definitions;
delete from oban_jobs; update squid_mesh.clock set shift = '0'
"""

ROUNDING = 60.0
"""Seconds that an example may take. Its clock moves by more."""


async def read(connection: AsyncConnection[Any]) -> dict[UUID, RunRow]:
    """Every run."""
    cursor = await connection.execute(_RUNS)
    return {
        run_id: RunRow(
            *counts,  # type: ignore[misc]  # the columns that come before these, in their order
            steps={name: StepRow(**step) for name, step in steps.items()},
            attempts=sorted((step, number, status) for step, number, status in attempts),
            audit=sorted(((type_, step) for type_, step in audit), key=str),
        )
        for run_id, *counts, steps, attempts, audit in await cursor.fetchall()
    }


async def empty(connection: AsyncConnection[Any]) -> None:
    """Make it as good as new."""
    await connection.execute(_EMPTY)


def rounded(row: RunRow, like: RunRow) -> RunRow:
    """A row with the due times of another, where the two are as good as equal."""
    for name, step in row.steps.items():
        expected = like.steps.get(name)
        if expected is None or expected.due_in is None or step.due_in is None:
            continue
        if expected.due_in - ROUNDING < step.due_in <= expected.due_in:
            step.due_in = expected.due_in
    return row
