-- Parked steps that this process can call are ready again, each with its job.
-- Locks: the runs, without waiting; what is skipped is released by the next sweep.
with found as materialized (
  select s.run_id, s.step
  from {schema}.steps s join {schema}.runs r on r.id = s.run_id
    join unnest(%(definition)b, %(step)b) as t(definition, step)
      on t.definition = r.definition and t.step = s.step
  where s.needs is not null
  limit 1000
),
locked as materialized (
  select f.*, {schema}.now() as at from found f,
    lateral (select id from {schema}.runs where id = f.run_id for no key update skip locked) r
),
released as (
  update {schema}.steps s set
    needs = null, due_at = l.at, job_id = nextval(pg_get_serial_sequence('{oban}.oban_jobs', 'id'))
  from locked l
  where s.run_id = l.run_id and s.step = l.step and s.status = 'pending' and s.needs is not null
  returning s.run_id, s.step, s.queue, s.job_id
),
jobs as (
  insert into {oban}.oban_jobs (id, queue, worker, args, priority, max_attempts)
  overriding system value
  select job_id, coalesce(queue, %(default_queue)s::text), %(worker)s::text,
         jsonb_build_object('run', run_id, 'step', step), %(recovery)s::smallint, 32767
  from released
  returning queue
),
told as materialized (
  select count(pg_notify(%(channel)s::text, '{"queue":"' || queue || '"}'))
  from (select distinct queue from jobs) q
)
select r.run_id, r.step from released r, told
