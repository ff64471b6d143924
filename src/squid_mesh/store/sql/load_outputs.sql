-- What a run has stored, for a driver that won a join: its siblings' outputs were written in the
-- flush that made the claim or before, so a statement after it sees them all.
select
  (select json_object_agg(step, output) from {schema}.steps
   where run_id = %(run)s and status = 'completed' and output is not null) as outputs,
  (select json_object_agg(step, error) from {schema}.steps
   where run_id = %(run)s and status = 'failed') as errors
