-- A schedule that fires, and the moment of it. Locks nothing.
select workflow, trigger, expression, timezone, last_window, next_window, paused, attempts,
       {schema}.now() as now
from {schema}.schedules
where workflow = %(workflow)s and trigger = %(trigger)s
