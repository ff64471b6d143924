-- Whether a living process declares this very definition: it can surely call its steps.
select exists (
  select from {schema}.workers
  where %(definition)s::text = any(definitions)
    and alive_at > pg_catalog.clock_timestamp() - make_interval(secs => %(silence)s)
) as found
