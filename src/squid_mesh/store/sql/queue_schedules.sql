-- Gives schedules the job of their next window, where they have none: new windows, and jobs that are
-- gone, have ended, were put off (a clock stepped forward), were left behind in the middle by a process
-- that died, or belong to a mesh of which no process lives. With `overdue` only those that should have
-- fired so many seconds ago.
-- Locks: the schedules, those that it changes, and their former jobs, without waiting: one that stays
-- finds that it isn't its turn. Guard: window and job are as they were found.
with wanting as materialized (
  select s.workflow, s.trigger, s.next_window, s.job_id
  from {schema}.schedules s
    join json_to_recordset(%(schedules)s::json) as g(workflow text, trigger text) using (workflow, trigger)
    left join lateral (
      select * from {oban}.oban_jobs where id = s.job_id
      offset 0  -- a fence: before Postgres 18 a scan of workers, below, makes every plan look as dear
    ) j on true
  where not s.paused
    and (%(overdue)s::float8 is null
         or s.next_window < {schema}.now() - make_interval(secs => %(overdue)s::float8))
    and (j.id is null
         or j.state in ('completed', 'cancelled', 'discarded')
         or (j.args -> 'cron' ->> 'window')::timestamptz is distinct from s.next_window
         or j.state in ('scheduled', 'retryable') and %(overdue)s::float8 is not null
            and j.scheduled_at > timezone('UTC', pg_catalog.now()) + make_interval(secs => %(making)s)
         or j.state = 'executing'
            and j.attempted_at < timezone('UTC', pg_catalog.now()) - make_interval(secs => %(making)s)
         or j.state = 'executing'
            and j.attempted_at < timezone('UTC', pg_catalog.now()) - make_interval(secs => %(silence)s)
            and not exists (
              select from {schema}.workers w
              where w.boot = s.claim
                and w.alive_at > pg_catalog.clock_timestamp() - make_interval(secs => %(silence)s))
         or (j.worker, j.queue) <> (%(worker)s::text, %(queue)s::text) and not exists (
           select from {schema}.workers w
           where 'squid_mesh.' || w.mesh = split_part(j.worker, '@', 1) and j.queue = any(w.queues)
             and w.alive_at > pg_catalog.clock_timestamp() - make_interval(secs => %(silence)s)))
),
queued as (
  update {schema}.schedules s set job_id = nextval(pg_get_serial_sequence('{oban}.oban_jobs', 'id'))
  from wanting w
  where s.workflow = w.workflow and s.trigger = w.trigger and not s.paused
    and s.next_window = w.next_window and s.job_id is not distinct from w.job_id
  returning s.workflow, s.trigger, s.next_window, s.job_id, w.job_id as former
),
removed as (
  delete from {oban}.oban_jobs where id in (
    select j.id from {oban}.oban_jobs j join queued q on q.former = j.id
    where j.state <> 'executing' for update of j skip locked)
)
insert into {oban}.oban_jobs (id, state, queue, worker, args, priority, max_attempts, scheduled_at)
overriding system value
select job_id, 'scheduled', %(queue)s::text, %(worker)s::text,
       jsonb_build_object('cron', jsonb_build_object(
         'workflow', workflow, 'trigger', trigger, 'window', next_window)),
       %(priority)s::smallint, 32767,
       timezone('UTC', pg_catalog.now()) + (next_window - {schema}.now())
from queued
returning id
