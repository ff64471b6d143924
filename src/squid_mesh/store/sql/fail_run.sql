-- A step failed for good and has no route: no further step starts, and the run has failed when the last
-- running body has ended. It leaves a body behind, or (when somebody gave up an interrupted step) a pause,
-- whose attempt was kept when it ended. Under the run's lock, taken by a statement before this one, so that the
-- siblings it counts are the ones there are.
with failed as (
  update {schema}.steps set status = 'failed', error = %(error)s::json, finished_at = {schema}.now()
  where run_id = %(run)s and step = %(step)s
    and status = %(leaves)s and attempt = %(attempt)s and claim = %(claim)s
  returning run_id, step, attempt, error, claim, started_at, finished_at
),
logged as (
  insert into {schema}.attempts (run_id, step, number, status, error, claim, started_at, finished_at)
  select run_id, step, attempt, %(status)s::text, error, claim, started_at, finished_at from failed
  where %(leaves)s = 'running'
),
noted as (
  insert into {schema}.audit_events (run_id, step, type, at)
  select run_id, step, 'interrupted', finished_at from failed
  where %(leaves)s = 'running' and %(status)s::text = 'interrupted'
),
before as (
  select s.step, s.status, s.attempt, s.started_at, s.job_id, s.error, f.finished_at
  from {schema}.steps s, failed f
  where s.run_id = %(run)s and s.status in ('waiting', 'pending', 'scheduled', 'paused')
    and s.step <> %(step)s
),
stopped as (
  update {schema}.steps s set status = 'cancelled', due_at = null, needs = null, finished_at = b.finished_at
  from before b
  where s.run_id = %(run)s and s.step = b.step and s.status = b.status
),
given_up as (
  insert into {schema}.attempts (run_id, step, number, status, started_at, finished_at)
  select %(run)s, step, attempt, 'cancelled', started_at, finished_at
  from before where status = 'paused' and error is null
),
removed as (
  delete from {oban}.oban_jobs where id in (
    select id from {oban}.oban_jobs
    where id in (select job_id from before) and state <> 'executing' for update skip locked)
),
left_running as (
  select count(*)::int as n from {schema}.steps
  where run_id = %(run)s and status = 'running' and step <> %(step)s
),
moved as (
  update {schema}.runs r set
    running = l.n, queued = 0, retrying = 0, paused = 0, open_ends = l.n,
    error = coalesce(r.error, f.error),
    outcome = case when l.n > 0 then null when r.cancel_requested_at is null then 'failed' else 'cancelled' end,
    ended_at = case when l.n = 0 then f.finished_at end,
    updated_at = f.finished_at
  from failed f, left_running l
  where r.id = f.run_id and r.outcome is null
  returning r.id, r.outcome, r.watched
),
told as materialized (
  select count(pg_notify(%(rest)s::text, id || ' ' || outcome)) as n
  from moved where watched and outcome is not null
)
select outcome from moved, told
