-- Whether a step ended as a record says that was written before, but whose answer was lost (law 14):
-- what the step and its run are now, and whether this boot holds the claim that came with it.
select s.status, s.attempt, s.claim = %(boot)s as own, r.outcome,
       exists (select from {schema}.steps n
               where n.run_id = s.run_id and n.step = %(next)s::text
                 and n.status = 'running' and n.attempt = 1 and n.claim = %(boot)s) as has_next
from {schema}.steps s join {schema}.runs r on r.id = s.run_id
where s.run_id = %(run)s and s.step = %(step)s
