-- This process, as a holder of claims.
insert into {schema}.workers (mesh, node, pid, queues, definitions, actions)
values (%(mesh)s, %(node)s, %(pid)s, %(queues)s, %(definitions)s, %(actions)s)
returning boot
