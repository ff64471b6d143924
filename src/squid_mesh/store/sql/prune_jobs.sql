-- Deletes a batch of this mesh's jobs that have ended, of each state so many. Oban prunes them too, after a day
-- and a few hundred a second; this keeps up with a mesh that makes more. Locks: the jobs, without waiting.
-- Reads the oldest through Oban's index of each state. What is deleted is given as an array: the planner expects
-- few elements of one, and looks them up, whatever it knows of the table.
delete from {oban}.oban_jobs where id = any(
  array(
    select id from {oban}.oban_jobs
    where worker = %(worker)s and state = 'completed'
      and completed_at < timezone('UTC', pg_catalog.now()) - make_interval(secs => %(age)s)
    order by completed_at limit %(most)s for update skip locked)
  || array(
    select id from {oban}.oban_jobs
    where worker = %(worker)s and state = 'cancelled'
      and cancelled_at < timezone('UTC', pg_catalog.now()) - make_interval(secs => %(age)s)
    order by cancelled_at limit %(most)s for update skip locked)
  || array(
    select id from {oban}.oban_jobs
    where worker = %(worker)s and state = 'discarded'
      and discarded_at < timezone('UTC', pg_catalog.now()) - make_interval(secs => %(age)s)
    order by discarded_at limit %(most)s for update skip locked))
