-- Names the transaction that a body is about to write in, and looks whether its step is still this
-- claim's: null when this database doesn't know the step. Its name is asked for again after the body,
-- which may have ended it, and when the answer to its commit is lost. Locks nothing.
select pg_current_xact_id()::text,
       (select s.status = 'running' and s.attempt = %(attempt)s and s.claim = %(boot)s
        from {schema}.steps s where s.run_id = %(run)s and s.step = %(step)s)
