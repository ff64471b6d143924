-- Steps whose body died with its process: claimed by a boot that is gone or silent, or claimed by the
-- asking boot, which doesn't hold it (the answer to a commit got lost). Whoever holds a run without a step
-- holds all of it. With each comes how often it was interrupted before.
-- Reads runs with a body under way, through runs_busy, and nothing of those that sleep or wait. Locks
-- nothing. Real time: a test that moves the clock must not make the living look dead.
select s.run_id, s.step, s.attempt, s.claim, r.definition,
       (select count(*)::int from {schema}.attempts a
        where a.run_id = s.run_id and a.step = s.step and a.status = 'interrupted') as before,
       r.trigger, r.trace, extract(epoch from {schema}.now() - r.inserted_at)::float8 as age
from {schema}.runs r join {schema}.steps s on s.run_id = r.id and s.status = 'running'
where r.running > 0 and (
  s.claim = %(boot)s and not exists (
    select from unnest(%(run)b, %(step)b) as held(run_id, step)
    where held.run_id = s.run_id and (held.step = s.step or held.step is null)
  )
  or not exists (
    select from {schema}.workers w
    where w.boot = s.claim
      and w.alive_at > pg_catalog.clock_timestamp() - make_interval(secs => %(silence)s)
      and w.loop_at > pg_catalog.clock_timestamp() - make_interval(secs => %(blocked)s)
  )
)
order by s.run_id
limit 500
