-- Whether a living process declares a cron trigger.
select exists (
  select from {schema}.workers w join {schema}.definitions d on d.version = any(w.definitions),
    json_array_elements(d.spec -> 'triggers') t
  where d.workflow = %(workflow)s and t ->> 'name' = %(trigger)s and t ->> 'kind' = 'cron'
    and w.alive_at > pg_catalog.clock_timestamp() - make_interval(secs => %(silence)s)
) as found
