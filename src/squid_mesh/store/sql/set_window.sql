-- What a schedule waits for is another window. Under the schedule's lock.
update {schema}.schedules set
  expression = %(expression)s, timezone = %(timezone)s, next_window = %(next)s::timestamptz,
  paused = %(paused)s, attempts = 0, error = null
where workflow = %(workflow)s and trigger = %(trigger)s
