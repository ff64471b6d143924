-- Deletes a batch of this mesh's jobs that have ended. Oban prunes them too, after a day and a few hundred a
-- second; this keeps up with a mesh that makes more. Locks: the jobs, without waiting.
delete from {oban}.oban_jobs where id in (
  select id from {oban}.oban_jobs
  where worker = %(worker)s
    and (state = 'completed' and completed_at < timezone('UTC', pg_catalog.now()) - make_interval(secs => %(age)s)
         or state = 'cancelled' and cancelled_at < timezone('UTC', pg_catalog.now()) - make_interval(secs => %(age)s)
         or state = 'discarded' and discarded_at < timezone('UTC', pg_catalog.now()) - make_interval(secs => %(age)s))
  limit %(most)s
  for update skip locked)
