-- Claims steps for their jobs: the claim is durable before a body starts (law 1).
-- Locks: the runs, without waiting; a record whose run is held by somebody else comes back as nothing.
-- A job of a run that isn't there (any more) claims nothing; that of a paused step is its deadline's.
with asked as materialized (
  select *, null::jsonb as job from unnest(%(ord)b, %(run)b, %(step)b) as t(ord, run_id, step) limit %(n)s::int
),
{claiming}
select *, null::float8 as due_in from claims
union all
select l.ord, null, null, null, 0, null, l.definition, null, null, null, null, null, null, null, null, null, null, null,
       (select extract(epoch from s.due_at - l.at)::float8 from {schema}.steps s
        where s.run_id = l.run_id and s.step = l.step and s.status in ('scheduled', 'paused') and l.going)
from locked l where not l.ord = any(array(select ord from claimed))
union all
select a.ord, null, null, null, 0, null, null, null, null, null, null, null, null, null, null, null, null, null, null
from asked a
where not a.ord = any(array(select ord from locked)) and not exists (select from {schema}.runs where id = a.run_id)
