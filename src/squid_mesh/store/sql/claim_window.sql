-- A process is about to make the payload of a window. Nothing depends on it but how soon its job is given
-- to another when it dies. Locks: the schedule, unless somebody else does: he passes the window.
update {schema}.schedules set claim = %(boot)s
where (workflow, trigger) in (
  select workflow, trigger from {schema}.schedules
  where workflow = %(workflow)s and trigger = %(trigger)s and next_window = %(window)s::timestamptz
  for no key update skip locked)
