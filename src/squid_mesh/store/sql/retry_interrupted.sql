-- Interrupted steps are ready again, each with its job; the attempt that died is kept. What belonged to
-- a run that goes nowhere is cancelled, and with the last of it the run ends.
-- Locks: the runs, without waiting (what is skipped is found again); they are counted from the locked row, as in
-- advance_steps. Guards: the very attempt and claim that were found, so a body that ends after all is either
-- before this or refused.
with locked as materialized (
  select t.*, r.outcome is null and r.cancel_requested_at is null and r.error is null as going,
         r.running, r.queued, r.open_ends, r.error,
         case when r.cancel_requested_at is null then 'failed' else 'cancelled' end as ending,
         {schema}.now() as at
  from (select * from unnest(%(run)b, %(step)b, %(attempt)b, %(claim)b) as t(run_id, step, attempt, claim)
        limit %(n)s::int) t,
    lateral (select * from {schema}.runs where id = t.run_id for no key update skip locked) r
),
interrupted as materialized (
  update {schema}.steps s set
    status = case when l.going then 'pending' else 'cancelled' end,
    claim = null, error = null,
    due_at = case when l.going then l.at end,
    finished_at = case when l.going then null else l.at end,
    job_id = case when l.going then nextval(pg_get_serial_sequence('{oban}.oban_jobs', 'id')) end
  from locked l
  where s.run_id = l.run_id and s.step = l.step
    and s.status = 'running' and s.attempt = l.attempt and s.claim = l.claim
  returning s.run_id, s.step, s.attempt, l.claim, s.started_at, s.queue, s.job_id, l.going, l.at,
            l.running, l.queued, l.open_ends, l.error as run_error, l.ending
),
counted as (
  update {schema}.runs r set
    running = m.running - m.n, queued = m.queued + m.ready, open_ends = m.open_ends - m.stopped, error = m.error,
    outcome = case when m.stopped > 0 and m.open_ends = m.stopped then m.ending end,
    ended_at = case when m.stopped > 0 and m.open_ends = m.stopped then m.at end,
    updated_at = m.at
  from (select run_id, running, queued, open_ends, ending, (array_agg(run_error))[1] as error,
               count(*)::int as n, count(*) filter (where going)::int as ready,
               count(*) filter (where not going)::int as stopped, min(at) as at
        from interrupted group by run_id, running, queued, open_ends, ending) m
  where r.id = m.run_id
  returning r.id, r.outcome, r.watched
),
logged as (
  insert into {schema}.attempts (run_id, step, number, status, claim, started_at, finished_at)
  select run_id, step, attempt, 'interrupted', claim, started_at, at from interrupted
),
noted as (
  insert into {schema}.audit_events (run_id, step, type, at)
  select run_id, step, 'interrupted', at from interrupted
),
jobs as (
  insert into {oban}.oban_jobs (id, queue, worker, args, priority, max_attempts)
  overriding system value
  select job_id, coalesce(queue, %(default_queue)s::text), %(worker)s::text,
         jsonb_build_object('run', run_id, 'step', step), %(recovery)s::smallint, 32767
  from interrupted where going
  returning queue
),
told as materialized (
  select (select count(pg_notify(%(channel)s::text, '{"queue":"' || queue || '"}'))
          from (select distinct queue from jobs) q)
       + (select count(pg_notify(%(rest)s::text, id || ' ' || outcome))
          from counted where watched and outcome is not null) as n
)
select i.run_id, i.step, i.attempt, i.going, c.outcome
from interrupted i join counted c on c.id = i.run_id, told
