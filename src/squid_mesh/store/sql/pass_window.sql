-- A window is over: started, recorded as failed, or skipped. Under the schedule's lock.
update {schema}.schedules set
  last_window = coalesce(%(last)s::timestamptz, last_window), next_window = %(next)s::timestamptz,
  attempts = 0, error = %(error)s::json
where workflow = %(workflow)s and trigger = %(trigger)s and next_window = %(window)s::timestamptz
