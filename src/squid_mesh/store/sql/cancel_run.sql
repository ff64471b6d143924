-- Cancels a run under its lock, taken by a statement before this one, so that it sees every claim there
-- is. What has not begun is cancelled; what runs may end, and the run is cancelled when the last of it
-- has. After this no claim of the run succeeds (law 5).
with moment as (
  select {schema}.now() as at
),
before as (
  select step, status, attempt, started_at, job_id, error
  from {schema}.steps
  where run_id = %(run)s and status in ('waiting', 'pending', 'scheduled', 'paused')
),
stopped as (
  update {schema}.steps s set status = 'cancelled', due_at = null, needs = null, finished_at = m.at
  from before b, moment m
  where s.run_id = %(run)s and s.step = b.step and s.status = b.status
),
logged as (
  insert into {schema}.attempts (run_id, step, number, status, started_at, finished_at)
  select %(run)s, b.step, b.attempt, 'cancelled', b.started_at, m.at
  from before b, moment m where b.status = 'paused' and b.error is null
),
removed as (
  delete from {oban}.oban_jobs where id in (
    select id from {oban}.oban_jobs
    where id in (select job_id from before) and state <> 'executing' for update skip locked)
),
left_running as (
  select count(*)::int as n from {schema}.steps where run_id = %(run)s and status = 'running'
),
cancelled as (
  update {schema}.runs r set
    running = l.n, queued = 0, retrying = 0, paused = 0, open_ends = l.n,
    cancel_requested_at = m.at, updated_at = m.at,
    outcome = case when l.n = 0 then 'cancelled' end,
    ended_at = case when l.n = 0 then m.at end
  from moment m, left_running l
  where r.id = %(run)s and r.outcome is null and r.cancel_requested_at is null
  returning r.id, r.status, r.watched, r.trigger, r.trace,
            extract(epoch from m.at - r.inserted_at)::float8 as age, m.at
),
told as materialized (
  select count(pg_notify(%(rest)s::text, id || ' ' || status)) as n
  from cancelled where watched and status = 'cancelled'
),
noted as (
  insert into {schema}.audit_events (run_id, type, actor, comment, at)
  select id, 'cancelled', %(actor)s::json, %(comment)s::text, at from cancelled
)
select status, trigger, trace, age from cancelled, told
