-- Oban's queues, as far as our work is in them or a process serves them: jobs that wait, since when the oldest of
-- the available ones is due, steps under way (many have no job any more), and who serves them. A producer is renewed
-- every 15 s, and gone when it hasn't been for a minute. A step without a queue of its own is in its process's.
-- Reads the live jobs of all queues, by oban_jobs_state_queue_…, and what is under way, by runs_busy; locks nothing.
with jobs as (
  select queue,
         count(*) filter (where state = 'available') as available,
         count(*) filter (where state in ('scheduled', 'retryable')) as scheduled,
         min(scheduled_at) filter (where state = 'available') as oldest
  from {oban}.oban_jobs
  where state in ('available', 'scheduled', 'retryable')
    and starts_with(worker, 'squid_mesh.')
  group by queue
), under_way as (
  select coalesce(s.queue, w.queues[1]) as queue, count(*) as executing
  from {schema}.runs r
    join {schema}.steps s on s.run_id = r.id and s.status = 'running'
    join {schema}.workers w on w.boot = s.claim
  where r.running > 0
  group by 1
), producers as (
  select queue, count(*) as processes,
         count(*) filter (where (meta ->> 'paused')::boolean) as paused,
         sum((meta ->> 'local_limit')::integer) as slots
  from {oban}.oban_producers
  where updated_at > timezone('UTC', pg_catalog.clock_timestamp()) - interval '1 minute'
  group by queue
)
select queue,
       coalesce(available, 0) as available,
       coalesce(executing, 0) as executing,
       coalesce(scheduled, 0) as scheduled,
       extract(epoch from timezone('UTC', pg_catalog.clock_timestamp()) - oldest)::float8 as oldest,
       coalesce(processes, 0) as processes,
       coalesce(paused, 0) as paused,
       coalesce(slots, 0) as slots
from jobs full join under_way using (queue) full join producers using (queue)
order by queue
