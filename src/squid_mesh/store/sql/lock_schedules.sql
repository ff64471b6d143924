-- Schedules to be decided on, and the moment of it. Locks: the schedules, in order; waits only for others
-- of ours, as no host's transaction writes here.
select s.workflow, s.trigger, s.expression, s.timezone, s.last_window, s.next_window, s.paused, s.attempts,
       {schema}.now() as now
from {schema}.schedules s
  join json_to_recordset(%(schedules)s::json) as g(workflow text, trigger text) using (workflow, trigger)
order by s.workflow, s.trigger
for no key update of s
