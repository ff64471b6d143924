-- Every attempt of a run, in order.
select step, number, status, error, claim, started_at, finished_at
from {schema}.step_attempts
where run_id = %(run)s
order by started_at, step, number
