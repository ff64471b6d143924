-- Names the transaction that this is executed in, if it has a name yet. Locks nothing.
select pg_current_xact_id_if_assigned()::text
