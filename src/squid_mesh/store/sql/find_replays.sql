-- A page of the replays of a run, newest first, through runs_replayed. Keyset.
select r.id, row_number() over (order by r.inserted_at desc, r.id desc) as place
from {schema}.runs r
where r.replayed_from = %(replayed_from)s
  and (%(since)s::timestamptz is null or r.inserted_at >= %(since)s)
  and (%(until)s::timestamptz is null or r.inserted_at < %(until)s)
  and (%(before)s::timestamptz is null or (r.inserted_at, r.id) < (%(before)s, %(before_id)s::uuid))
  and (%(statuses)s::text[] is null or r.status = any(%(statuses)s))
  and (%(workflow)s::text is null or r.workflow = %(workflow)s)
  and (%(trigger)s::text is null or r.trigger = %(trigger)s)
  and (%(tags)s::jsonb is null or r.tags @> %(tags)s)
  and (%(step)s::text is null or exists (
    select from {schema}.steps s
    where s.run_id = r.id and s.step = %(step)s
      and s.status in ('running', 'pending', 'scheduled', 'paused')))
order by r.inserted_at desc, r.id desc
limit %(limit)s
