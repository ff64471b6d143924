-- Starts runs: their rows, the steps that are ready or wait, and the jobs of those that are ready.
-- One statement with one JSON parameter, so that any driver can issue it on a host's connection.
-- On a host's connection the run's creation is untold: its first claim tells it, after the commit.
-- Locks nothing but what it inserts. A key or window that is taken inserts nothing for its run.
with asked as materialized (
  select s.* from json_to_record(%(start)s::json)
    as s(runs json, queue text, worker text, channel text, untold boolean)
),
given as materialized (
  select g.*, {schema}.now() as at
  from asked, json_to_recordset(asked.runs) as g(
    id uuid, workflow text, definition text, trigger text, payload json, key text,
    window_at timestamptz, replayed_from uuid, tags jsonb, priority smallint, open_ends integer,
    job_priority smallint, trace text, steps json)
),
started as (
  insert into {schema}.runs (id, workflow, definition, trigger, payload, key, window_at, replayed_from,
                             tags, priority, trace, open_ends, queued, inserted_at, updated_at)
  select id, workflow, definition, trigger, payload, key, window_at, replayed_from, tags, priority,
         trace, open_ends, (select count(*) from json_to_recordset(steps) as s(open integer) where s.open = 0),
         at, at
  from given
  on conflict do nothing
  returning id, inserted_at
),
tagged as (
  insert into {schema}.run_tags (run_id, key, value, inserted_at)
  select started.id, t.key, t.value, started.inserted_at
  from started join given g using (id), jsonb_each_text(g.tags) as t
),
steps as (
  insert into {schema}.steps (run_id, step, status, open_dependencies, queue, due_at, job_id)
  select g.id, s.step, case s.open when 0 then 'pending' else 'waiting' end, s.open, s.queue,
         case s.open when 0 then g.at end,
         case s.open when 0 then nextval(pg_get_serial_sequence('{oban}.oban_jobs', 'id')) end
  from started join given g using (id),
    json_to_recordset(g.steps) as s(step text, open integer, queue text)
  returning run_id, step, queue, job_id
),
jobs as (
  insert into {oban}.oban_jobs (id, queue, worker, args, priority, max_attempts)
  overriding system value
  select s.job_id, coalesce(s.queue, a.queue), a.worker,
         jsonb_build_object('run', s.run_id, 'step', s.step)
           || case when a.untold then jsonb_strip_nulls(
                jsonb_build_object('untold', true, 'replayed_from', g.replayed_from)) else '{}' end,
         g.job_priority, 32767
  from asked a, steps s join given g on g.id = s.run_id
  where s.job_id is not null
  returning queue
),
told as (
  select count(pg_notify(a.channel, '{"queue":"' || q.queue || '"}'))
  from asked a, (select distinct queue from jobs) q
)
select id, inserted_at from started, told
