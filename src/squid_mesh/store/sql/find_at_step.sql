-- A page of runs that are at a step: it runs, is ready, asleep or held. Newest first by id, which begins
-- with the time at which its process made it, as a step's row knows no other time of its run; so ids bound
-- what is read, with some leave for that process's clock.
-- Through steps_standing in order, and for what runs through runs_busy.
select f.id, row_number() over (order by f.id desc) as place
from (
  (select r.id
   from (
     select run_id from {schema}.steps
     where standing = %(step)s
       and (%(first_id)s::uuid is null or run_id >= %(first_id)s)
       and (%(last_id)s::uuid is null or run_id <= %(last_id)s)
       and (%(before_id)s::uuid is null or run_id < %(before_id)s)
     order by run_id desc
     offset 0  -- a fence: read in this order, and no further than to the end of the page
   ) s join {schema}.runs r on r.id = s.run_id
   where (%(since)s::timestamptz is null or r.inserted_at >= %(since)s)
     and (%(until)s::timestamptz is null or r.inserted_at < %(until)s)
     and (%(statuses)s::text[] is null or r.status = any(%(statuses)s))
     and (%(workflow)s::text is null or r.workflow = %(workflow)s)
     and (%(trigger)s::text is null or r.trigger = %(trigger)s)
     and (%(tags)s::jsonb is null or r.tags @> %(tags)s)
   order by s.run_id desc
   limit %(limit)s)
  union all
  select r.id
  from {schema}.runs r
  where r.running > 0
    and (select s.status from {schema}.steps s where s.run_id = r.id and s.step = %(step)s) = 'running'
    and (%(since)s::timestamptz is null or r.inserted_at >= %(since)s)
    and (%(until)s::timestamptz is null or r.inserted_at < %(until)s)
    and (%(before_id)s::uuid is null or r.id < %(before_id)s)
    and (%(statuses)s::text[] is null or r.status = any(%(statuses)s))
    and (%(workflow)s::text is null or r.workflow = %(workflow)s)
    and (%(trigger)s::text is null or r.trigger = %(trigger)s)
    and (%(tags)s::jsonb is null or r.tags @> %(tags)s)
) f
order by f.id desc
limit %(limit)s
