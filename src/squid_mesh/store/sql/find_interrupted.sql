-- Steps whose body died with its process: claimed by a boot that is gone or silent. With them come
-- older steps of the asking boot itself, which knows the ones it really drives.
-- Reads runs with a body under way, through runs_busy, and nothing of those that sleep or wait. Locks nothing.
select s.run_id, s.step, s.attempt, s.claim, r.definition
from {schema}.runs r join {schema}.steps s on s.run_id = r.id and s.status = 'running'
where r.running > 0 and (
  s.claim = %(boot)s and s.started_at < {schema}.now() - make_interval(secs => %(silence)s)
  or not exists (
    select from {schema}.workers w
    where w.boot = s.claim
      and w.alive_at > pg_catalog.clock_timestamp() - make_interval(secs => %(silence)s)
      and w.loop_at > pg_catalog.clock_timestamp() - make_interval(secs => %(blocked)s)
  )
)
order by s.run_id
limit 500
