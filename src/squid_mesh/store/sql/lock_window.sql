-- Whether a window is still the one that its schedule waits for (law 8). Locks: the schedule, unless
-- somebody else does: he fires it.
select next_window is not distinct from %(window)s::timestamptz and not paused as is_due
from {schema}.schedules
where workflow = %(workflow)s and trigger = %(trigger)s
for no key update skip locked
