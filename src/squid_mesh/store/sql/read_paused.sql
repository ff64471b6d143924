-- The steps of a run that wait for a decision, with what their run is. Reads under the run's lock, taken by
-- a statement before this one, so that nothing it finds can move. A run without one has one row of nulls.
select r.status, {schema}.now() as now, s.step, s.attempt, s.claim, s.error::text as error,
       s.due_at, s.started_at, r.trigger, r.trace, r.inserted_at
from {schema}.runs r left join {schema}.steps s on s.run_id = r.id and s.status = 'paused'
where r.id = %(run)s
order by s.step
