-- Claims steps for their jobs, and the steps of the jobs that are next in a queue for drivers that have room for
-- another run: the claim is durable before a body starts (law 1).
-- Locks: the next jobs and the runs, waiting for none of them; a record whose run is held by somebody else comes
-- back as nothing.
-- What is next is what Oban would fetch, in its order. A job that isn't ours, or whose step can't be claimed now,
-- stays there and is counted: nobody is overtaken. One whose step is claimed is gone with that.
-- The limit makes the planner expect one record, so that it looks runs up by their key whatever the
-- tables' size was when the plan was made; lateral makes the records the outer side.
-- A run is counted from its locked row, as in advance_steps.
-- ready_at is what the update clears, read beside it when somebody is to hear of it.
-- A job of a run that isn't there (any more) claims nothing; that of a paused step is its deadline's.
-- What a run has stored is read once, and comes with the first of its claims: of hundreds of siblings,
-- each would read all the others.
with next as materialized (
  select q.queue, j.id, j.args
  from unnest(%(queue)b, %(places)b) as q(queue, places),
    lateral (select id, worker, args from {oban}.oban_jobs
             where state = 'available' and queue = q.queue
             order by priority, scheduled_at, id limit q.places for update skip locked) j
  where j.worker = %(worker)s::text
    and j.args->>'run' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
),
asked as materialized (
  select * from (
    select ord, run_id, step, null::bigint as job, null::text as taken_from, null::jsonb as args
    from unnest(%(ord)b, %(run)b, %(step)b) as t(ord, run_id, step)
    union all
    select null, (args->>'run')::uuid, args->>'step', id, queue, args from next) a
  limit %(n)s::int
),
locked as materialized (
  select t.*, r.definition, r.workflow, r.trigger, r.window_at, r.payload, r.begun_at,
         r.trace, r.inserted_at, r.running, r.queued, r.retrying,
         case when %(heard)s::boolean
              then (select s.due_at from {schema}.steps s where s.run_id = t.run_id and s.step = t.step) end as ready_at,
         r.outcome is null and r.cancel_requested_at is null and r.error is null as going,
         {schema}.now() as at
  from asked t,
    lateral (select * from {schema}.runs where id = t.run_id for no key update skip locked) r
),
claimed as (
  update {schema}.steps s set
    status = 'running', attempt = s.attempt + 1, claim = %(boot)s::bigint, started_at = l.at, due_at = null
  from locked l
  where s.run_id = l.run_id and s.step = l.step and l.going
    and (s.status = 'pending' or s.status = 'scheduled' and s.due_at <= l.at)
  returning l.*, s.attempt, s.queue, s.resume, s.error is not null as was_retrying,
            extract(epoch from l.at - l.ready_at)::float8 as waited,
            extract(epoch from l.at - l.inserted_at)::float8 as age
),
begun as (
  update {schema}.runs r set
    running = c.running + c.n, retrying = c.retrying - c.retried, queued = c.queued - (c.n - c.retried),
    begun_at = coalesce(r.begun_at, c.at), updated_at = c.at
  from (select run_id, running, queued, retrying, count(*)::int as n,
               count(*) filter (where was_retrying)::int as retried, min(at) as at
        from claimed group by run_id, running, queued, retrying) c
  where r.id = c.run_id
),
removed as (
  delete from {oban}.oban_jobs where id = any(array(select job from claimed))
)
select c.ord, c.attempt, c.queue, c.definition, c.workflow, c.trigger, c.window_at, c.payload,
       c.resume, null::float8 as due_in, stored.outputs, stored.errors,
       c.begun_at is null and c.is_first as begins, c.trace, c.waited, c.age,
       c.run_id, c.step, c.taken_from, c.job, c.args
from (select *, row_number() over (partition by run_id order by ord) = 1 as is_first from claimed) c,
  lateral (
    select json_object_agg(step, output) filter (where status = 'completed' and output is not null) as outputs,
           json_object_agg(step, error) filter (where status = 'failed') as errors
    from {schema}.steps where run_id = c.run_id and c.is_first) stored
union all
select l.ord, 0, null, l.definition, null, null, null, null, null,
       (select extract(epoch from s.due_at - l.at)::float8 from {schema}.steps s
        where s.run_id = l.run_id and s.step = l.step and s.status in ('scheduled', 'paused') and l.going),
       null, null, null, null, null, null, null, null, null, null, null
from locked l where l.job is null and not l.ord = any(array(select ord from claimed where job is null))
union all
select a.ord, 0, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null
from asked a
where a.job is null and not a.ord = any(array(select ord from locked where job is null))
  and not exists (select from {schema}.runs where id = a.run_id)
