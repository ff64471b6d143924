-- Claims the steps that were asked for, each with an ord of its own, and what their job says where it comes with them.
-- The limit there makes the planner expect one record, so that it looks runs up by their key whatever the
-- tables' size was when the plan was made; lateral makes the records the outer side.
-- A run is counted from its locked row, as in advance_steps.
-- ready_at is what the update clears, read beside it when somebody is to hear of it.
-- What a run has stored is read once, and comes with the first of its claims: of hundreds of siblings,
-- each would read all the others.
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
claims as (
  select c.ord, c.run_id, c.step, c.job, c.attempt, c.queue, c.definition, c.workflow, c.trigger, c.window_at,
         c.payload, c.resume, stored.outputs, stored.errors, c.begun_at is null and c.is_first as begins,
         c.trace, c.waited, c.age
  from (select *, ord = min(ord) over (partition by run_id) as is_first from claimed) c,
    lateral (
      select json_object_agg(step, output) filter (where status = 'completed' and output is not null) as outputs,
             json_object_agg(step, error) filter (where status = 'failed') as errors
      from {schema}.steps where run_id = c.run_id and c.is_first) stored
)
