-- The decision that was made under a key before.
select type, step from {schema}.audit_events where run_id = %(run)s and key = %(key)s
