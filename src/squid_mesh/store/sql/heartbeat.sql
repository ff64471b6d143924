-- Renews the lease of a boot; loop_age is how long ago its event loop last answered, in seconds.
-- Real time: a test that moves the clock must not make the living look dead.
update {schema}.workers set
  alive_at = pg_catalog.clock_timestamp(),
  loop_at = pg_catalog.clock_timestamp() - make_interval(secs => %(loop_age)s)
where boot = %(boot)s
