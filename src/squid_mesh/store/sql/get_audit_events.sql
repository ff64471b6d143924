-- What people decided and recovery did, in order.
select type, step, actor, comment, metadata, at
from {schema}.audit_events
where run_id = %(run)s
order by id
