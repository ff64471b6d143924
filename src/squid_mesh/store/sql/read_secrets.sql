-- What a run has stored where its definition tells of secrets.
select r.payload, (
  select json_object_agg(s.step, s.output) from {schema}.steps s
  where s.run_id = r.id and s.step = any(%(steps)s) and s.output is not null) as outputs
from {schema}.runs r
where r.id = %(run)s
