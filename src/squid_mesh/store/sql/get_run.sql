-- One run, with the names of its live steps.
select r.id, r.workflow, r.definition, r.trigger, r.status, r.payload, r.error, r.key, r.window_at,
       r.replayed_from, r.tags, r.priority, r.trace, r.inserted_at, r.updated_at, r.ended_at,
       array(select s.step from {schema}.steps s
             where s.run_id = r.id and s.status in ('running', 'pending', 'scheduled', 'paused')
             order by s.started_at nulls last, s.step) as current_steps
from {schema}.runs r
where r.id = %(run)s
