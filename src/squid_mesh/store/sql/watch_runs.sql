-- Has the rest of these runs notified: somebody waits for them. Locks: the runs, without waiting, as a
-- flush that met the lock would have to come again; those that are held now are watched a little later.
update {schema}.runs set watched = true
where id in (select id from {schema}.runs where id = any(%(runs)s) for no key update skip locked)
returning id, status
