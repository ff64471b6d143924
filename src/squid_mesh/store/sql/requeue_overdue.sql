-- Gives a new job to steps that are due and whose job is gone: deleted, ended, put off, or left behind
-- in the middle by a process that died before it claimed. Run state never depends on job state. What a
-- living process declares, and this one doesn't, is left to that: its jobs may go elsewhere.
-- Reads what is overdue through steps_due: sleeping and paused steps are never read. Locks: the runs,
-- without waiting. Guards: the step is as it was found (compared so that it is looked up by its key).
with overdue as materialized (
  select s.run_id, s.step, s.due_at
  from {schema}.steps s left join {oban}.oban_jobs j on j.id = s.job_id
  where s.due_at < {schema}.now() - make_interval(secs => %(overdue)s)
    and (j.id is null
         or j.state in ('completed', 'cancelled', 'discarded')
         or j.state in ('scheduled', 'retryable')
            and j.scheduled_at > timezone('UTC', pg_catalog.now()) + make_interval(secs => %(overdue)s)
         or j.state = 'executing'
            and j.attempted_at < timezone('UTC', pg_catalog.now()) - make_interval(secs => %(silence)s))
  order by s.due_at
  limit 500
),
locked as materialized (
  select o.* from overdue o,
    lateral (
      select id from {schema}.runs r
      where id = o.run_id
        and (exists (select from {schema}.workers w
                     where w.boot = %(boot)s and r.definition = any(w.definitions))
             or not exists (
               select from {schema}.workers w
               where r.definition = any(w.definitions)
                 and w.alive_at > pg_catalog.clock_timestamp() - make_interval(secs => %(silence)s)))
      for no key update skip locked) r
),
requeued as (
  update {schema}.steps s set job_id = nextval(pg_get_serial_sequence('{oban}.oban_jobs', 'id'))
  from locked l
  where s.run_id = l.run_id and s.step = l.step and s.due_at is not distinct from l.due_at
  returning s.run_id, s.step, s.queue, s.job_id
),
jobs as (
  insert into {oban}.oban_jobs (id, queue, worker, args, priority, max_attempts)
  overriding system value
  select job_id, coalesce(queue, %(default_queue)s::text), %(worker)s::text,
         jsonb_build_object('run', run_id, 'step', step), %(recovery)s::smallint, 32767
  from requeued
  returning queue
),
told as materialized (
  select count(pg_notify(%(channel)s::text, '{"queue":"' || queue || '"}'))
  from (select distinct queue from jobs) q
)
select r.run_id, r.step from requeued r, told
