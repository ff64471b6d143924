-- The run that holds a key of a workflow. A statement of its own: the one that met the conflict can't
-- see a row that was committed after its snapshot.
select id, trigger, payload::text as payload from {schema}.runs where workflow = %(workflow)s and key = %(key)s
