-- The runs of a page, which one of the find_ statements of lists has found: (id, place). Shows no
-- payload and no details of errors. Locks nothing.
select r.id, r.workflow, r.definition, r.trigger, r.status, null::json as payload,
       (r.error::jsonb - 'details')::json as error, r.key, r.window_at, r.replayed_from, r.tags,
       r.priority, r.inserted_at, r.updated_at, r.ended_at,
       array(select s.step from {schema}.steps s
             where s.run_id = r.id and s.status in ('running', 'pending', 'scheduled', 'paused')
             order by s.started_at nulls last, s.step) as current_steps
from page join {schema}.runs r using (id)
order by page.place
