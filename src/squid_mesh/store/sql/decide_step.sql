-- A paused step moves as somebody decided (or as its deadline says), with what follows from it: it is
-- completed, has failed with a route, or is ready again. Whatever becomes ready gets a job: the process
-- that decides drives nothing. Under the run's lock, taken by a statement before this one. Guards: the
-- step is still paused, in the attempt that was seen. One JSON parameter, so that any driver can issue it.
-- A completion that was no body's has no claim: an interrupted attempt stays the last one that there was.
with asked as materialized (
  select d.*, s.job_id as former, s.error is not null as interrupted, {schema}.now() as at
  from json_to_record(%(decision)s::json) as d(
      run uuid, step text, attempt integer, status text, output text, error text, next text, queue text,
      joins json, ends boolean, default_queue text, worker text, priority smallint, channel text, rest text)
    join {schema}.steps s on s.run_id = d.run and s.step = d.step
),
done as materialized (
  update {schema}.steps s set
    status = a.status, output = a.output::json, error = a.error::json,
    claim = case when a.status <> 'pending' and not a.interrupted then s.claim end,
    due_at = case when a.status = 'pending' then a.at end,
    job_id = case when a.status = 'pending'
                  then nextval(pg_get_serial_sequence('{oban}.oban_jobs', 'id')) else s.job_id end,
    finished_at = case when a.status <> 'pending' then a.at end
  from asked a
  where s.run_id = a.run and s.step = a.step and s.status = 'paused' and s.attempt = a.attempt
  returning s.run_id, s.step, s.status, s.queue as own_queue, s.job_id, a.former, a.next, a.queue, a.joins,
            a.ends, a.default_queue, a.worker, a.priority, a.channel, a.rest, a.at
),
followed as (
  insert into {schema}.steps (run_id, step, status, queue, due_at, job_id)
  select run_id, next, 'pending', queue, at, nextval(pg_get_serial_sequence('{oban}.oban_jobs', 'id'))
  from done where next is not null
  returning step, status, queue, job_id
),
joined as (
  update {schema}.steps s set
    open_dependencies = s.open_dependencies - 1,
    status = case when s.open_dependencies > 1 then 'waiting' else 'pending' end,
    due_at = case when s.open_dependencies = 1 then d.at end,
    job_id = case when s.open_dependencies = 1
                  then nextval(pg_get_serial_sequence('{oban}.oban_jobs', 'id')) end
  from done d, json_array_elements_text(d.joins) as j(step)
  where s.run_id = d.run_id and s.step = j.step and s.status = 'waiting'
  returning s.step, s.status, s.queue, s.job_id
),
ready as (
  select step, own_queue as queue, job_id from done where status = 'pending'
  union all
  select step, queue, job_id from followed
  union all
  select step, queue, job_id from joined where status = 'pending'
),
counted as (
  update {schema}.runs r set
    paused = r.paused - 1,
    queued = r.queued + (select count(*)::int from ready),
    open_ends = r.open_ends - d.ends::int,
    outcome = case when r.open_ends = d.ends::int then 'completed' end,
    ended_at = case when r.open_ends = d.ends::int then d.at end,
    updated_at = d.at
  from done d
  where r.id = d.run_id
  returning r.id, r.status, r.outcome, r.watched
),
jobs as (
  insert into {oban}.oban_jobs (id, queue, worker, args, priority, max_attempts)
  overriding system value
  select r.job_id, coalesce(r.queue, d.default_queue), d.worker,
         jsonb_build_object('run', d.run_id, 'step', r.step), d.priority, 32767
  from ready r, done d
  returning queue
),
removed as (
  delete from {oban}.oban_jobs where id in (
    select j.id from done d join {oban}.oban_jobs j on j.id = d.former
    where j.state <> 'executing' for update of j skip locked)
),
told as materialized (
  select (select count(pg_notify(d.channel, '{"queue":"' || q.queue || '"}'))
          from done d, (select distinct queue from jobs) q)
       + (select count(pg_notify(d.rest, c.id || ' ' || c.status))
          from done d, counted c where c.watched and (c.outcome is not null or c.status = 'paused')) as n
)
select c.status from counted c, told
