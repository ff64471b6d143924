-- Which running Obans fetch from these queues: Oban keeps a row for each queue of each process, and
-- refreshes it every 15 seconds. Real time, as they have it. Locks nothing.
select queue, name, node, coalesce((meta ->> 'paused')::boolean, false) as paused,
       (meta ->> 'local_limit')::int as "limit", timezone('UTC', updated_at) as seen_at
from {oban}.oban_producers
where queue = any(%(queues)s)
  and updated_at > timezone('UTC', pg_catalog.now()) - make_interval(secs => %(silence)s)
order by queue, node, name
