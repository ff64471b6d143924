-- What runs have stored, for drivers that won a join: their siblings' outputs were written in the flush
-- that made the claim or before, so a statement after it sees them all.
select t.ord, stored.outputs, stored.errors
from (select * from unnest(%(ord)b, %(run)b) as t(ord, run_id) limit %(n)s::int) t,
  lateral (
    select json_object_agg(step, output) filter (where status = 'completed' and output is not null) as outputs,
           json_object_agg(step, error) filter (where status = 'failed') as errors
    from {schema}.steps where run_id = t.run_id) stored
