-- The steps of a run that have a row and haven't completed, with what was interrupted of them.
select s.step, s.status, s.attempt, s.queue, s.needs, s.due_at, s.started_at, s.finished_at, s.error,
       s.claim, s.job_id, i.times as interruptions, i.at as interrupted_at
from {schema}.steps s, lateral (
  select count(*)::int as times, max(a.finished_at) as at from {schema}.attempts a
  where a.run_id = s.run_id and a.step = s.step and a.status = 'interrupted') i
where s.run_id = %(run)s and s.status <> 'completed'
order by s.started_at nulls last, s.due_at nulls last, s.step
