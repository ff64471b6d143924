-- A job that was fetched by a process which is about to end is available to others at once. Oban's own
-- acknowledgement then finds it not executing, and changes nothing. Locks: the job, without waiting, by its
-- id (see advance_chain).
with returned as (
  update {oban}.oban_jobs set state = 'available', attempt = attempt - 1
  where id in (select id from {oban}.oban_jobs
               where id = %(job)s and state::text = 'executing' for update skip locked)
  returning queue
)
select count(pg_notify(%(channel)s::text, '{"queue":"' || queue || '"}')) from returned
