-- The cron triggers of a process that nobody declared before. They get their window under a lock.
insert into {schema}.schedules (workflow, trigger, expression, timezone)
select g.workflow, g.trigger, g.expression, g.timezone
from json_to_recordset(%(schedules)s::json)
  as g(workflow text, trigger text, expression text, timezone text)
order by g.workflow, g.trigger
on conflict do nothing
