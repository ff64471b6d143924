-- Keeps who decided what, in the transaction that did it.
insert into {schema}.audit_events (run_id, step, type, actor, comment, metadata, key)
values (%(run)s, %(step)s, %(type)s, %(actor)s::json, %(comment)s, %(metadata)s::json, %(key)s)
