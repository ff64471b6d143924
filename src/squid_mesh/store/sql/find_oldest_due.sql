-- For how many seconds the step that has been due the longest has been so (less than none: it is asleep),
-- and how many steps are parked. Two looks at partial indexes, steps_due and steps_parked; locks nothing.
select extract(epoch from {schema}.now() - (
         select min(due_at) from {schema}.steps where due_at is not null
       ))::float8 as late,
       (select count(*) from {schema}.steps where needs is not null) as parked
