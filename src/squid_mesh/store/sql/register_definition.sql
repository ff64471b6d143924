-- Keeps a definition, once.
insert into {schema}.definitions (version, workflow, spec)
values (%(version)s, %(workflow)s, %(spec)s::json)
on conflict do nothing
