-- Deletes a batch of ended runs and everything of theirs, the oldest first, from behind the run that the
-- batch before came to. Locks: those runs, without waiting; what somebody holds is left to the next time.
-- Tells how many there were, and which was the last one looked at; no row when none is left.
with aged as materialized (
  select id, inserted_at
  from {schema}.runs
  where (inserted_at, id) > (%(after)s::timestamptz, %(after_id)s::uuid)
    and inserted_at < {schema}.now() - make_interval(secs => %(age)s)
    and outcome = any(%(outcomes)s) and ended_at < {schema}.now() - make_interval(secs => %(age)s)
  order by inserted_at, id
  limit %(most)s
  for update skip locked
),
deleted as (
  delete from {schema}.runs r using aged a where r.id = a.id returning r.id
)
select (select count(*)::int from deleted) as runs, a.inserted_at, a.id
from aged a
order by a.inserted_at desc, a.id desc
limit 1
