-- Claims the steps of the jobs that are next in queues, for drivers that have room for another run: claim_steps and
-- Oban's fetch in one, and nothing to acknowledge. The claim is durable before a body starts (law 1).
-- Locks: the jobs and the runs, waiting for none of them.
-- What is next is what Oban would fetch, in its order. A job that isn't ours, or whose step can't be claimed now,
-- stays there and is counted: nobody is overtaken. One whose step is claimed is gone with that.
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
  select id as ord, (args->>'run')::uuid as run_id, args->>'step' as step,
         jsonb_build_object('queue', queue, 'args', args) as job
  from next limit %(n)s::int
),
{claiming},
removed as (
  delete from {oban}.oban_jobs where id = any(array(select ord from claimed))
)
select * from claims
