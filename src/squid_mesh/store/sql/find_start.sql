-- Whether a run was started by a statement whose answer was lost (law 14).
select inserted_at from {schema}.runs where id = %(run)s
