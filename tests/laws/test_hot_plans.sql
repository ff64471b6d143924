-- What a crowd lacks: steps that each run has behind it, failed attempts, a history, jobs that stand and that
-- have ended, another application's, and a few schedules.
with past as (
  insert into squid_mesh.steps (run_id, step, status, attempt, claim, started_at, finished_at, output)
  select id, 'past_' || n, 'completed', 1, 1, begun_at, begun_at, '{"number": 1}'
  from squid_mesh.runs, generate_series(1, 3) as n
  where begun_at is not null
),
failures as (
  insert into squid_mesh.attempts (run_id, step, number, status, error, claim, started_at, finished_at)
  select id, 'past_1', 1, 'failed', '{}', 1, begun_at, begun_at
  from squid_mesh.runs where begun_at is not null
),
noted as (
  insert into squid_mesh.audit_events (run_id, step, type)
  select id, 'past_1', 'interrupted' from squid_mesh.runs
),
scheduled as (
  insert into squid_mesh.schedules (workflow, trigger, expression, timezone)
  select 'workflow_' || n, 'nightly', '0 3 * * *', 'UTC' from generate_series(1, 10) as n
),
standing as (
  update squid_mesh.steps set job_id = nextval(pg_get_serial_sequence('oban_jobs', 'id'))
  where due_at is not null
  returning run_id, step, job_id, due_at
),
jobs as (
  insert into oban_jobs (id, state, queue, worker, args, max_attempts, scheduled_at)
  overriding system value
  select job_id, (case when due_at > now() then 'scheduled' else 'available' end)::oban_job_state,
         'squid_mesh', 'squid_mesh.squid_mesh', jsonb_build_object('run', run_id, 'step', step),
         32767, timezone('UTC', due_at)
  from standing
)
insert into oban_jobs (state, queue, worker, args, max_attempts, scheduled_at, completed_at,
                       cancelled_at, discarded_at)
select s.state::oban_job_state, 'squid_mesh',
       case when n %% 10 < 2 then 'another' else 'squid_mesh.squid_mesh' end, '{}', 32767,
       case s.state when 'scheduled' then m.at + interval '30 days' else m.at end,
       case s.state when 'completed' then m.at end, case s.state when 'cancelled' then m.at end,
       case s.state when 'discarded' then m.at end
from generate_series(1, 40000) as n,
  lateral (select timezone('UTC', now()) - n * interval '1 second' as at) m,
  lateral (select case when n %% 2 = 0 then 'scheduled' when n %% 20 = 1 then 'cancelled'
                       when n %% 20 = 3 then 'discarded' else 'completed' end as state) s
