-- Where runs stand: for all that somebody in this process waits for, at once.
select id, status from {schema}.runs where id = any(%(runs)s)
