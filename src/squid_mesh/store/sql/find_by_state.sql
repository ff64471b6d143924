-- A page of runs by status, workflow and trigger, newest first. runs_resting holds the runs of one
-- status, workflow and trigger in order; `kinds` are the ones there are, found by skipping from one to
-- the next; the newest runs of each make up the page. What isn't in there has a body under way, and is
-- found through runs_busy. Keyset: it costs the same however deep the page is, and however rare a kind.
with recursive kinds as (
  select s.status, k.workflow, k.trigger
  from unnest(%(statuses)s::text[]) as s(status), lateral (
    select r.workflow, r.trigger from {schema}.runs r
    where r.resting = s.status and (%(workflow)s::text is null or r.workflow = %(workflow)s)
    order by r.workflow, r.trigger limit 1) k
  union all
  select k.status, n.workflow, n.trigger
  from kinds k, lateral (
    (select r.workflow, r.trigger from {schema}.runs r
     where %(workflow)s::text is null
       and r.resting = k.status and (r.workflow, r.trigger) > (k.workflow, k.trigger)
     order by r.workflow, r.trigger limit 1)
    union all  -- either the one or the other, as an index is entered by one comparison of rows
    (select r.workflow, r.trigger from {schema}.runs r
     where %(workflow)s::text is not null
       and r.resting = k.status and r.workflow = k.workflow and r.trigger > k.trigger
     order by r.trigger limit 1)) n
)
select f.id, row_number() over (order by f.inserted_at desc, f.id desc) as place
from (
  select r.id, r.inserted_at
  from kinds k, lateral (
    select r.id, r.inserted_at from {schema}.runs r
    where r.resting = k.status and r.workflow = k.workflow and r.trigger = k.trigger
      and (%(tags)s::jsonb is null or r.tags @> %(tags)s)
      and (%(since)s::timestamptz is null or r.inserted_at >= %(since)s)
      and (%(until)s::timestamptz is null or r.inserted_at < %(until)s)
      and (%(before)s::timestamptz is null or (r.inserted_at, r.id) < (%(before)s, %(before_id)s::uuid))
    order by r.inserted_at desc, r.id desc
    limit %(limit)s) r
  where %(trigger)s::text is null or k.trigger = %(trigger)s
  union all
  select r.id, r.inserted_at
  from {schema}.runs r
  where r.running > 0 and r.status = any(%(statuses)s::text[])
    and (%(workflow)s::text is null or r.workflow = %(workflow)s)
    and (%(trigger)s::text is null or r.trigger = %(trigger)s)
    and (%(tags)s::jsonb is null or r.tags @> %(tags)s)
    and (%(since)s::timestamptz is null or r.inserted_at >= %(since)s)
    and (%(until)s::timestamptz is null or r.inserted_at < %(until)s)
    and (%(before)s::timestamptz is null or (r.inserted_at, r.id) < (%(before)s, %(before_id)s::uuid))
) f
order by f.inserted_at desc, f.id desc
limit %(limit)s
