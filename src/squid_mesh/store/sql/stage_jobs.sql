-- Makes jobs available whose time has come. Oban's stager does the same once a second, and announces
-- what it staged a second later; this is for whoever knows to the millisecond. Run state never depends on
-- it. Locks: the jobs, without waiting, by their ids (see advance_chain).
with staged as (
  update {oban}.oban_jobs set state = 'available'
  where id in (select id from {oban}.oban_jobs
               where id = any(%(jobs)s) and state::text = 'scheduled' for update skip locked)
  returning queue
)
select count(pg_notify(%(channel)s::text, '{"queue":"' || queue || '"}'))
from (select distinct queue from staged) q
