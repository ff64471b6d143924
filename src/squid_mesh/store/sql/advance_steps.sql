-- The full flush: completions, failures with an error route, retries, sleeps, pauses, hand-overs and
-- joins. Same locks and guards as advance_chain, which is its common case. `boot` is the claim's:
-- recovery speaks for a boot that died. A step that becomes pending is parked: it waits, without a job,
-- for code that can call it.
-- A driver that would have nothing to do takes along another step of its run that is ready, with its job:
-- of hundreds of siblings only as many are fetched as there are places, the others follow in the drivers
-- that have done theirs. What somebody fetches at this moment stays his.
-- A target row is written once, after everything that the group does to it was added up (two siblings
-- in one flush take two off the join's counter). No relation of the statement is joined to another:
-- columns travel along in returning.
-- What a run comes to is counted from the row that was locked, never from the one that is updated: that is
-- first as the snapshot has it, and the table's checks are made on it before Postgres sees that somebody's
-- newer row is there. (In advance_chain the two may differ: what ends there is counted in open_ends either way.)
with asked as materialized (
  select *
  from unnest(%(ord)b, %(run)b, %(step)b, %(attempt)b, %(status)b, %(output)b, %(error)b, %(delay)b,
              %(next)b, %(queue)b, %(inline)b, %(joins)b, %(takes)b, %(ends)b, %(fails)b, %(needs)b, %(event)b,
              %(job)b)
    as t(ord, run_id, step, attempt, status, output, error, delay,
         next, queue, inline, joins, takes, ends, fails, needs, event, job)
  limit %(n)s::int
),
locked as materialized (
  select t.*, r.outcome is null and r.cancel_requested_at is null and r.error is null as going,
         r.running as r_running, r.queued as r_queued, r.retrying as r_retrying, r.paused as r_paused,
         r.open_ends as r_open_ends, r.error as r_error,
         case when r.cancel_requested_at is not null then 'cancelled'
              when r.error is not null then 'failed' else 'completed' end as ending,
         {schema}.now() as at
  from asked t,
    lateral (select * from {schema}.runs where id = t.run_id for no key update skip locked) r
),
done as materialized (
  update {schema}.steps s set
    status = case when l.going or l.status in ('completed', 'failed') then l.status
                  when l.error is not null then 'failed' else 'cancelled' end,
    attempt = case when l.going and l.error is null and l.status in ('scheduled', 'pending')
                   then s.attempt - 1 else s.attempt end,
    needs = case when l.going then l.needs end,
    output = l.output::json,
    error = l.error::json,
    due_at = case when l.going then l.at + make_interval(secs => l.delay) end,
    resume = case when l.going and l.delay is not null and l.error is null
                  then json_build_object('until', l.at + make_interval(secs => l.delay)) else s.resume end,
    job_id = case when l.going and l.delay is not null
                  then nextval(pg_get_serial_sequence('{oban}.oban_jobs', 'id')) else s.job_id end,
    finished_at = case when l.going and l.status in ('scheduled', 'paused', 'pending') then null else l.at end
  from locked l
  where s.run_id = l.run_id and s.step = l.step
    and s.status = 'running' and s.attempt = l.attempt and s.claim = %(boot)s::bigint
  returning l.ord, l.run_id, l.step, l.attempt, s.status, s.error, s.started_at, s.queue as own_queue,
            s.job_id, s.due_at, l.delay, l.next, l.queue, l.inline, l.joins, l.takes, l.ends, l.fails, l.event,
            l.job, l.going, l.ending, l.r_error, l.r_running, l.r_queued, l.r_retrying, l.r_paused,
            l.r_open_ends, l.at
),
followed as (
  insert into {schema}.steps (run_id, step, status, attempt, claim, queue, started_at, due_at, job_id)
  select run_id, next, case when inline then 'running' else 'pending' end, inline::int,
         case when inline then %(boot)s::bigint end, queue, case when inline then at end,
         case when not inline then at end,
         case when not inline then nextval(pg_get_serial_sequence('{oban}.oban_jobs', 'id')) end
  from done where going and next is not null
  returning run_id, step, status, queue, job_id
),
joined as (
  update {schema}.steps s set
    open_dependencies = s.open_dependencies - e.n,
    status = case when s.open_dependencies > e.n then 'waiting' when e.ord is null then 'pending' else 'running' end,
    attempt = case when s.open_dependencies = e.n and e.ord is not null then 1 else 0 end,
    claim = case when s.open_dependencies = e.n and e.ord is not null then %(boot)s::bigint end,
    started_at = case when s.open_dependencies = e.n and e.ord is not null then e.at end,
    due_at = case when s.open_dependencies = e.n and e.ord is null then e.at end,
    job_id = case when s.open_dependencies = e.n and e.ord is null
                  then nextval(pg_get_serial_sequence('{oban}.oban_jobs', 'id')) end
  from (select d.run_id, j.step, count(*)::int as n, min(d.ord) filter (where d.inline) as ord, min(d.at) as at
        from done d, json_to_recordset(d.joins::json) as j(step text)
        where d.going and d.status = 'completed' and d.joins is not null
          and j.step || '' = j.step  -- always so: makes the planner expect one row, and look it up
        group by d.run_id, j.step) e
  where s.run_id = e.run_id and s.step = e.step and s.status = 'waiting'
  returning e.ord, s.run_id, s.step, s.status, s.queue, s.job_id
),
alone as (
  select run_id, own_queue, count(*) as n, array_agg(ord) as ords, min(at) as at from done
  where takes and going and not ord = any(array(select ord from joined where status = 'running'))
  group by run_id, own_queue
),
taken as (
  update {schema}.steps s set status = 'running', attempt = 1, claim = %(boot)s::bigint, started_at = t.at, due_at = null
  from (
    select a.run_id, p.step, a.ords[row_number() over (partition by a.run_id, a.own_queue)] as ord, p.job, a.at
    from alone a,
      lateral (
        select r.step, j.id as job
        from {schema}.steps r,
          lateral (select id from {oban}.oban_jobs
                   where id = r.job_id and state::text = 'available' for update skip locked) j
        where r.run_id = a.run_id and r.status = 'pending' and r.attempt = 0 and r.needs is null
          and r.queue is not distinct from a.own_queue
        order by r.step limit a.n) p) t
  where s.run_id = t.run_id and s.step = t.step and s.status = 'pending' and s.attempt = 0
  returning t.ord, s.run_id, s.step, t.job
),
counted as (
  update {schema}.runs r set
    running = m.running, queued = m.queued, retrying = m.retrying, paused = m.paused,
    open_ends = m.open_ends, error = m.error,
    outcome = case when m.open_ends = 0 then m.ending end,
    ended_at = case when m.open_ends = 0 then m.at end,
    updated_at = m.at
  from (
    select run_id, (max(r_running) + sum(running))::int as running, (max(r_queued) + sum(queued))::int as queued,
           (max(r_retrying) + sum(retrying))::int as retrying, (max(r_paused) + sum(paused))::int as paused,
           case when bool_or(fails) then 0 else (max(r_open_ends) - sum(ends))::int end as open_ends,
           (array_agg(error) filter (where has_failed))[1] as error,
           case when bool_or(fails) then 'failed' else max(ending) end as ending,
           min(ord) as ord, max(job) as job, min(at) as at
    from (
      select run_id, -1 as running,
             (status = 'pending' or status = 'scheduled' and error is null)::int as queued,
             (status = 'scheduled' and error is not null)::int as retrying, (status = 'paused')::int as paused,
             (ends or not going)::int as ends, fails and going as fails, coalesce(r_error, error) as error,
             r_error is not null or fails and going as has_failed, ending, ord, job, at,
             r_running, r_queued, r_retrying, r_paused, r_open_ends
      from done
      union all
      select run_id, (status = 'running')::int, (status = 'pending')::int, 0, 0, 0, false, null, null,
             null, null, null, null, null, null, null, null, null
      from followed
      union all
      select run_id, (status = 'running')::int, (status = 'pending')::int, 0, 0, 0, false, null, null,
             null, null, null, null, null, null, null, null, null
      from joined where status <> 'waiting'
      union all
      select run_id, 1, -1, 0, 0, 0, false, null, null, null, null, null, null, null, null, null, null, null
      from taken
    ) moves
    group by run_id
  ) m
  where r.id = m.run_id
  returning m.ord, m.job, r.id, r.outcome, r.status, r.watched
),
logged as (
  insert into {schema}.attempts (run_id, step, number, status, error, claim, started_at, finished_at)
  select run_id, step, attempt, case when error is null then 'cancelled' else %(ended_as)s::text end, error,
         %(boot)s::bigint, started_at, at
  from done where error is not null or status = 'cancelled'
),
noted as (
  insert into {schema}.audit_events (run_id, step, type, at)
  select run_id, step, event, at from done
  where event is not null and (status = 'paused' or event = 'interrupted')
),
jobs as (
  insert into {oban}.oban_jobs (id, state, queue, worker, args, priority, max_attempts, scheduled_at)
  overriding system value
  select x.job_id, (case when coalesce(x.delay, 0) <= 0 then 'available' else 'scheduled' end)::{oban}.oban_job_state,
         coalesce(x.queue, %(default_queue)s::text), %(worker)s::text,
         jsonb_build_object('run', x.run_id, 'step', x.step), %(continuation)s::smallint, 32767,
         timezone('UTC', pg_catalog.now()) + make_interval(secs => coalesce(x.delay, 0))
  from (
    select run_id, step, queue, job_id, null::float8 as delay from followed where status = 'pending'
    union all
    select run_id, step, queue, job_id, null from joined where status = 'pending'
    union all
    select run_id, step, own_queue, job_id, delay from done where due_at is not null
  ) x
  returning state, queue
),
told as materialized (
  select (select count(pg_notify(%(channel)s::text, '{"queue":"' || queue || '"}'))
          from (select distinct queue from jobs where state = 'available') q)
       + (select count(pg_notify(%(rest)s::text, id || ' ' || status))
          from counted where watched and (outcome is not null or status = 'paused')) as n
),
removed as (
  delete from {oban}.oban_jobs where id in (
    select j.id from counted c,
      lateral (select id from {oban}.oban_jobs
               where id = c.job and state::text = 'executing' for update skip locked) j
    where c.outcome is not null
    union all
    select job from taken)
)
select 'locked' as kind, null::int as ord, null::text as step,
       case when (select count(*) from locked) < %(n)s::int then array(select ord from locked) end as ords
union all
select 'done', (select n::int from told), null,
       case when (select count(*) from done) < %(n)s::int then array(select ord from done) end
union all
select 'joined', ord, step, null from joined where status = 'running'
union all
select 'taken', ord, step, null from taken
union all
select 'asleep', ord, job_id::text, null from done where due_at is not null
union all
select 'stopped', ord, null, null from done where not going
union all
select outcome, ord, null, null from counted where outcome is not null
union all
select 'gone', null, null, case when (select count(*) from locked) < %(n)s::int then array(
  select ord from asked a where not exists (select from {schema}.runs where id = a.run_id)) end
