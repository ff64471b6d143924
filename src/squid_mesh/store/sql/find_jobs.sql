-- Jobs of steps, each with the number of jobs that its queue takes before it, up to a number. Oban takes them
-- by priority, time and id, through the index that is read here. Locks nothing.
select j.id, j.state::text as state, j.queue, j.worker, timezone('UTC', j.scheduled_at) as scheduled_at,
       timezone('UTC', j.attempted_at) as attempted_at, j.attempted_by[1] as attempted_by, a.n as ahead
from {oban}.oban_jobs j, lateral (
  select count(*)::int as n from (
    select from {oban}.oban_jobs o
    where j.state = 'available' and o.state = 'available' and o.queue = j.queue
      and (o.priority, o.scheduled_at, o.id) < (j.priority, j.scheduled_at, j.id)
    limit %(most)s) counted) a
where j.id = any(%(jobs)s)
