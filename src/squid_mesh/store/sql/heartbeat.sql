-- Renews the lease of a boot; loop_age is how long ago its event loop last answered, in seconds. A row
-- that was buried meanwhile is made again: a boot that can claim must have a lease.
-- Real time: a test that moves the clock must not make the living look dead.
insert into {schema}.workers (boot, mesh, node, pid, queues, definitions, actions, loop_at)
overriding system value
values (%(boot)s, %(mesh)s, %(node)s, %(pid)s, %(queues)s, %(definitions)s, %(actions)s,
        pg_catalog.clock_timestamp() - make_interval(secs => %(loop_age)s))
on conflict (boot) do update set
  alive_at = pg_catalog.clock_timestamp(),
  loop_at = excluded.loop_at
