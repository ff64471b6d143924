-- Cancels a run under its lock, taken by a statement before this one. What has not begun is cancelled;
-- what runs may end, and the run has been cancelled when the last of it has (law 5).
with moment as (select {schema}.now() as at),
stopped as (
  update {schema}.steps s set status = 'cancelled', due_at = null, finished_at = m.at
  from moment m
  where s.run_id = %(run)s and s.status in ('waiting', 'pending', 'scheduled', 'paused')
  returning s.run_id, s.step, s.attempt, s.started_at, s.finished_at, s.job_id, s.error
),
removed as (
  delete from {oban}.oban_jobs where id in (select job_id from stopped) and state <> 'executing'
),
left_running as (
  select count(*)::int as n from {schema}.steps where run_id = %(run)s and status = 'running'
),
noted as (
  insert into {schema}.audit_events (run_id, type, actor, comment, at)
  select %(run)s, 'cancelled', %(actor)s::json, %(comment)s, at from moment
)
update {schema}.runs r set
  running = l.n, queued = 0, retrying = 0, paused = 0, open_ends = l.n,
  cancel_requested_at = m.at, updated_at = m.at,
  outcome = case when l.n = 0 then 'cancelled' end,
  ended_at = case when l.n = 0 then m.at end
from moment m, left_running l
where r.id = %(run)s and r.outcome is null and r.cancel_requested_at is null
returning r.status
