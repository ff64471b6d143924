-- Locks one run, waiting for whoever holds it. What is decided next reads a snapshot taken afterwards.
select status from {schema}.runs where id = %(run)s for no key update
