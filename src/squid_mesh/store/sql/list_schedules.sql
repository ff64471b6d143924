-- Every schedule there is, or those of one workflow.
select workflow, trigger, expression, timezone, paused, last_window,
       case when job_id is not null then next_window end as next_window, error
from {schema}.schedules
where %(workflow)s::text is null or workflow = %(workflow)s
order by workflow, trigger
