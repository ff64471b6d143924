-- A page of runs with all of these tags, newest first: through run_tags_listing, in the order of the
-- one tag that the fewest runs have. Keyset: it costs the same however deep it is.
select r.id, row_number() over (order by t.inserted_at desc, t.run_id desc) as place
from {schema}.run_tags t join {schema}.runs r on r.id = t.run_id
where t.key = %(tag)s and t.value = %(tag_value)s
  and (%(since)s::timestamptz is null or t.inserted_at >= %(since)s)
  and (%(until)s::timestamptz is null or t.inserted_at < %(until)s)
  and (%(before)s::timestamptz is null or (t.inserted_at, t.run_id) < (%(before)s, %(before_id)s::uuid))
  and r.tags @> %(tags)s::jsonb
  and (%(statuses)s::text[] is null or r.status = any(%(statuses)s))
  and (%(workflow)s::text is null or r.workflow = %(workflow)s)
  and (%(trigger)s::text is null or r.trigger = %(trigger)s)
  and (%(step)s::text is null or exists (
    select from {schema}.steps s
    where s.run_id = r.id and s.step = %(step)s
      and s.status in ('running', 'pending', 'scheduled', 'paused')))
order by t.inserted_at desc, t.run_id desc
limit %(limit)s
