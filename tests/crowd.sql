-- Run n of so many, from the oldest to the newest, one a second. `old` are the first tenth: some values
-- have only those, so that a search from the newest would pass all others. Others are rare.
with given as (
  select n, n <= total / 10 as old,
         timestamptz '2026-01-01' + n * interval '1 second' as at,
         (lpad(to_hex(1767225600000 + n * 1000::bigint), 12, '0') || '7'
            || substr(md5(n::text), 1, 3) || 'a' || substr(md5(n::text), 4, 15))::uuid as id,
         case
           when n in (7, total / 2) then 'rare'
           when n <= total / 10 then 'old'
           else 'workflow_' || n %% 20 end as workflow,
         case when n %% 1009 = 5 or n = 11 then 'by_night' else 'manual' end as trigger,
         case
           when n in (21, 22, 23) then 'cancelling'
           when n %% 50021 = 9 then 'running'
           when n %% 10007 = 1 then 'retrying'
           when n %% 2003 = 2 then 'pending'
           when n %% 97 = 3 or n <= total / 10 and n %% 7 = 3 then 'paused'
           when n %% 13 = 4 then 'asleep'
           when n %% 30011 = 5 then 'cancelled'
           when n %% 41 = 6 then 'failed'
           else 'completed' end as state,
         case
           when n in (8, total / 2 + 1) then '{"tenant": "acme", "order": "4711"}'
           when n <= total / 10 and n %% 2 = 0 then '{"tenant": "old"}'
           when n %% 3 = 0 then '{"tenant": "acme"}'
           else '{}' end::jsonb as tags
  from generate_series(1, %s) as n, (select %s::int as total) t
),
defined as (
  insert into squid_mesh.definitions (version, workflow, spec)
  select workflow, workflow, '{}' from given group by workflow
),
runs as (
  insert into squid_mesh.runs (
    id, workflow, definition, trigger, payload, tags, open_ends, running, queued, retrying, paused,
    begun_at, cancel_requested_at, outcome, error, inserted_at, updated_at, ended_at)
  select id, workflow, workflow, trigger, '{"number": 1}', tags,
         (state not in ('completed', 'failed', 'cancelled'))::int,
         (state in ('running', 'cancelling'))::int, (state in ('pending', 'asleep'))::int,
         (state = 'retrying')::int, (state = 'paused')::int,
         case when state <> 'pending' then at end, case when state = 'cancelling' then at end,
         case when state in ('completed', 'failed', 'cancelled') then state end,
         case when state = 'failed' then '{"type": "E", "message": "no", "step": "work", "attempt": 1}'::json end,
         at, at, case when state in ('completed', 'failed', 'cancelled') then at end
  from given
),
tagged as (
  insert into squid_mesh.run_tags (run_id, key, value, inserted_at)
  select id, t.key, t.value, at from given, jsonb_each_text(tags) t
),
begun as (
  insert into squid_mesh.steps (run_id, step, status, attempt, claim, started_at, finished_at, error, due_at)
  select id, case when n in (9, 10) then 'rare' when old and state = 'asleep' then 'old_wait'
                  when state in ('asleep', 'retrying') then 'cool_off'
                  when state = 'paused' then 'review' else 'work' end,
         case state when 'asleep' then 'scheduled' when 'retrying' then 'scheduled'
                    when 'cancelling' then 'running' else state end,
         (state <> 'pending')::int, 1, case when state <> 'pending' then at end,
         case when state in ('completed', 'failed', 'cancelled') then at end,
         case when state = 'retrying' then '{"type": "E", "message": "no", "step": "work", "attempt": 1}'::json end,
         case when state in ('asleep', 'retrying') then now() + interval '30 days'
              when state = 'pending' then at end
  from given
)
select
