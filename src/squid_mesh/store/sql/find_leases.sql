-- Processes that live, and those of these boots that are remembered; which of them declare a definition, and
-- which of these actions they have. Real time: a test that moves the clock must not make the living look dead.
select boot, mesh, node, pid, alive_at, loop_at, %(definition)s = any(definitions) as knows_definition,
       array(select unnest(actions) intersect select unnest(%(actions)s::text[])) as knows_actions
from {schema}.workers
where boot = any(%(boots)s)
   or alive_at > pg_catalog.clock_timestamp() - make_interval(secs => %(silence)s)
order by boot
