-- Processes that have not been buried: how many seconds each has been silent, and how long ago its event
-- loop answered. Locks nothing. Real time: a test that moves the clock must not make the living look dead.
select mesh, node, pid, started_at, definitions,
       extract(epoch from pg_catalog.clock_timestamp() - alive_at)::float8 as silent,
       extract(epoch from pg_catalog.clock_timestamp() - loop_at)::float8 as loop_silent
from {schema}.workers
order by node, pid, boot
