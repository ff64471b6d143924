-- Which of these tags the fewest runs have, and how many: a thousand stands for more. Index only.
select t.key, t.value, c.n
from jsonb_each_text(%(tags)s::jsonb) as t, lateral (
  select count(*) as n from (
    select from {schema}.run_tags r where r.key = t.key and r.value = t.value limit 1000) counted) c
order by c.n, t.key
limit 1
