-- What became of a transaction the answer to whose commit was lost: committed, aborted, or still in
-- progress (law 14). Locks nothing.
select pg_xact_status(%(transaction)s::xid8)
