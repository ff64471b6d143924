-- No living process declares a schedule: it has no job until one does.
update {schema}.schedules set job_id = null
where workflow = %(workflow)s and trigger = %(trigger)s and next_window = %(window)s::timestamptz
  and job_id = %(job)s
