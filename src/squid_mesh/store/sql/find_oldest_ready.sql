-- For how many seconds the step that has been due for longest has been so: ready, asleep or to be retried,
-- or held beyond its deadline. 0 when none is due. Reads one entry of steps_due. Locks nothing.
select greatest(0, coalesce(extract(epoch from {schema}.now() - min(due_at)), 0))::float8
from {schema}.steps
where due_at is not null
