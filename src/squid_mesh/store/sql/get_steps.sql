-- The steps of a run that have a row.
select s.step, s.status, s.attempt, s.claim, s.queue, s.needs, s.due_at, s.started_at, s.finished_at,
       s.input, s.output, s.error, s.open_dependencies, w.node, w.pid
from {schema}.steps s left join {schema}.workers w on w.boot = s.claim
where s.run_id = %(run)s
order by s.started_at nulls last, s.due_at nulls last, s.step
