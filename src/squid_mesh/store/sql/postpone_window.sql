-- A window's payload couldn't be made: counted, once for each try.
update {schema}.schedules set attempts = attempts + 1, error = %(error)s::json
where workflow = %(workflow)s and trigger = %(trigger)s and next_window = %(window)s::timestamptz
  and attempts = %(attempts)s
