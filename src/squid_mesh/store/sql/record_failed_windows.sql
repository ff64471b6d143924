-- Windows whose payload couldn't be made, as failed runs without a step: visible, and never started.
-- Locks nothing but what it inserts. A window that has its run already keeps it.
insert into {schema}.runs (id, workflow, definition, trigger, payload, window_at, open_ends, error, outcome,
                           inserted_at, updated_at, ended_at)
select g.id, g.workflow, g.definition, g.trigger, '{}', g.window_at, 0, g.error, 'failed',
       {schema}.now(), {schema}.now(), {schema}.now()
from json_to_recordset(%(windows)s::json)
  as g(id uuid, workflow text, definition text, trigger text, window_at timestamptz, error json)
on conflict do nothing
returning id
