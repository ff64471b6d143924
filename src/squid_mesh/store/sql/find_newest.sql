-- A page of all runs, newest first, through runs_listing. Keyset: it costs the same however deep it is.
select r.id, row_number() over (order by r.inserted_at desc, r.id desc) as place
from {schema}.runs r
where (%(since)s::timestamptz is null or r.inserted_at >= %(since)s)
  and (%(until)s::timestamptz is null or r.inserted_at < %(until)s)
  and (%(before)s::timestamptz is null or (r.inserted_at, r.id) < (%(before)s, %(before_id)s::uuid))
order by r.inserted_at desc, r.id desc
limit %(limit)s
