-- A page of runs, newest first. Keyset: a page costs the same however deep it is.
select r.id, r.workflow, r.definition, r.trigger, r.status, null::json as payload, r.error, r.key,
       r.window_at, r.replayed_from, r.tags, r.priority, r.inserted_at, r.updated_at, r.ended_at,
       array(select s.step from {schema}.steps s
             where s.run_id = r.id and s.status in ('running', 'pending', 'scheduled', 'paused')
             order by s.started_at nulls last, s.step) as current_steps
from {schema}.runs r
where (%(workflow)s::text is null or r.workflow = %(workflow)s)
  and (%(statuses)s::text[] is null or r.status = any(%(statuses)s))
  and (%(trigger)s::text is null or r.trigger = %(trigger)s)
  and (%(before)s::timestamptz is null or (r.inserted_at, r.id) < (%(before)s, %(before_id)s::uuid))
order by r.inserted_at desc, r.id desc
limit %(limit)s
