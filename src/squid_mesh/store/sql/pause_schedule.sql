-- Nothing fires a paused schedule. Under the schedule's lock: whoever fires a window either has
-- committed or finds it paused. The job is removed unless somebody holds it: then it does nothing.
with before as (
  select job_id from {schema}.schedules where workflow = %(workflow)s and trigger = %(trigger)s
),
removed as (
  delete from {oban}.oban_jobs where id in (
    select j.id from {oban}.oban_jobs j join before b on b.job_id = j.id
    where j.state <> 'executing' for update of j skip locked)
)
update {schema}.schedules set paused = true, job_id = null, attempts = 0, error = null
where workflow = %(workflow)s and trigger = %(trigger)s
