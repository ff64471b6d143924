-- This process, as a holder of claims. Boots that have been silent for a day are buried: their steps were
-- taken over long ago.
with buried as (
  delete from {schema}.workers where alive_at < pg_catalog.now() - interval '1 day'
)
insert into {schema}.workers (mesh, node, pid, queues, definitions, actions)
values (%(mesh)s, %(node)s, %(pid)s, %(queues)s, %(definitions)s, %(actions)s)
returning boot
