-- Four more steps for each run that has ended: five in all, as chains have.
insert into squid_mesh.steps (run_id, step, status, attempt, claim, started_at, finished_at, output)
select r.id, 'step_' || n, 'completed', 1, 1, r.inserted_at, r.inserted_at, '{"number": 1, "text": ""}'
from squid_mesh.runs r, generate_series(1, 4) as n
where r.outcome is not null
