-- Ends the session of a transaction whose client is gone without the server's noticing: it holds its
-- run's lock until it does. Locks nothing.
select pg_terminate_backend(pid) from pg_stat_activity
where backend_xid = %(transaction)s::xid8::xid and datname = current_database()
