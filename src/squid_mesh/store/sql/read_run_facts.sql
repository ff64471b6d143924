-- What is to be explained of one run, and what time it is, by the schema's clock and by the real one.
select r.id, r.workflow, r.definition, r.trigger, r.status, r.window_at, r.error, r.inserted_at,
       r.updated_at, r.ended_at, r.cancel_requested_at, c.actor as cancelled_by, c.comment as cancel_comment,
       {schema}.now() as at, pg_catalog.clock_timestamp() as clock
from {schema}.runs r left join lateral (
  select actor, comment from {schema}.audit_events
  where run_id = r.id and type = 'cancelled' order by id limit 1) c on true
where r.id = %(run)s
