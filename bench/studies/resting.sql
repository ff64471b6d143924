-- Runs that sleep for a month, each with its job, or that are paused.
with ids as (select gen_random_uuid() as id, n from generate_series(1, %(count)s) as n),
runs as (
  insert into squid_mesh.runs (
    id, workflow, definition, trigger, payload, open_ends, queued, paused, begun_at)
  select id, 'Nap', %(version)s, 'manual', '{"seconds": 1}', 1, 1 - %(paused)s, %(paused)s, now() from ids
),
jobs as (
  insert into oban_jobs (state, queue, worker, args, max_attempts, scheduled_at)
  select 'scheduled', 'squid_mesh', 'squid_mesh.squid_mesh',
         jsonb_build_object('run', id, 'step', 'nap'), 32767, timezone('UTC', now()) + interval '30 days'
  from ids where %(paused)s = 0
)
insert into squid_mesh.steps (run_id, step, status, attempt, started_at, due_at)
select id, 'nap', case when %(paused)s = 1 then 'paused' else 'scheduled' end, 1, now(),
       case when %(paused)s = 0 then now() + interval '30 days' end
from ids
