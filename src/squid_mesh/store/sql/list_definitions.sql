-- The newest definition of each workflow, and how many older ones are kept for their runs. Locks nothing.
select distinct on (workflow) workflow, version, inserted_at,
       count(*) over (partition by workflow) - 1 as older
from {schema}.definitions
order by workflow, inserted_at desc, version
