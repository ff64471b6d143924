-- The kinds of steps that wait for code: which step of which definition. Through steps_parked.
select distinct r.definition, s.step
from {schema}.steps s join {schema}.runs r on r.id = s.run_id
where s.needs is not null
