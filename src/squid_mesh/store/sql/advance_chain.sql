-- The common flush: every record completes its step and claims the next one, or ends its run.
-- Locks: the runs, without waiting. Guards: the step's status, attempt and claim (law 2); whether the run
-- still goes on is read from the locked row. Only exceptions come back: which records found their run
-- held (locked), their claim gone (done) or their run deleted (gone), and which runs ended or stopped.
-- The limit makes the planner expect one record, so that it looks runs up by their key whatever the
-- tables' size was when the plan was made; lateral makes the records the outer side. A job's state is compared
-- as text: Oban's index by state would do as well where hardly a job is executing, but for the dead entries in it.
with asked as materialized (
  select *
  from unnest(%(ord)b, %(run)b, %(step)b, %(attempt)b, %(output)b, %(next)b, %(queue)b, %(job)b)
    as t(ord, run_id, step, attempt, output, next, queue, job)
  limit %(n)s::int
),
locked as materialized (
  select t.*, r.outcome is null and r.cancel_requested_at is null and r.error is null as going,
         {schema}.now() as at
  from asked t,
    lateral (select * from {schema}.runs where id = t.run_id for no key update skip locked) r
),
done as materialized (
  update {schema}.steps s set status = 'completed', output = l.output::json, error = null, finished_at = l.at
  from locked l
  where s.run_id = l.run_id and s.step = l.step
    and s.status = 'running' and s.attempt = l.attempt and s.claim = %(boot)s::bigint
  returning l.ord, l.run_id, l.next, l.queue, l.job, l.going, l.at
),
claimed as (
  insert into {schema}.steps (run_id, step, status, attempt, claim, queue, started_at)
  select run_id, next, 'running', 1, %(boot)s::bigint, queue, at
  from done where going and next is not null
),
ended as (
  update {schema}.runs r set
    running = r.running - e.n, open_ends = r.open_ends - e.n, updated_at = e.at,
    outcome = case when r.open_ends > e.n then null
                   when r.cancel_requested_at is not null then 'cancelled'
                   when r.error is not null then 'failed'
                   else 'completed' end,
    ended_at = case when r.open_ends = e.n then e.at end
  from (select run_id, count(*)::int as n, min(ord) as ord, max(job) as job, min(at) as at
        from done where next is null or not going group by run_id) e
  where r.id = e.run_id
  returning e.ord, e.job, r.id, r.outcome, r.watched
),
told as materialized (
  select count(pg_notify(%(rest)s::text, id || ' ' || outcome))::int as n
  from ended where watched and outcome is not null
),
removed as (
  delete from {oban}.oban_jobs where id in (
    select j.id from ended e,
      lateral (select id from {oban}.oban_jobs
               where id = e.job and state::text = 'executing' for update skip locked) j
    where e.outcome is not null)
)
select 'locked' as kind, null::int as ord,
       case when (select count(*) from locked) < %(n)s::int then array(select ord from locked) end as ords
union all
select 'done', (select n from told),
       case when (select count(*) from done) < %(n)s::int then array(select ord from done) end
union all
select 'stopped', ord, null from done where not going
union all
select outcome, ord, null from ended where outcome is not null
union all
select 'gone', null, case when (select count(*) from locked) < %(n)s::int then array(
  select ord from asked a where not exists (select from {schema}.runs where id = a.run_id)) end
