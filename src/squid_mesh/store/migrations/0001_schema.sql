-- Runs and steps hold the state; attempts and audit_events hold what happened; definitions what was
-- to happen. All times are this schema's now(): the database's clock, moved by tests.

create table {schema}.clock (
  only_row boolean primary key default true check (only_row),
  shift interval not null default '0'
);
insert into {schema}.clock default values;

create function {schema}.now() returns timestamptz language sql stable
  return pg_catalog.now() + (select shift from {schema}.clock);

-- One row a distinct graph. `version` is the hash of `spec`, the canonical document.
create table {schema}.definitions (
  version text primary key,
  workflow text not null,
  spec json not null,
  inserted_at timestamptz not null default {schema}.now()
);

-- One row a process boot. `alive_at` is the lease: real time, which no test moves.
create table {schema}.workers (
  boot bigint primary key generated always as identity,
  mesh text not null,
  node text not null,
  pid integer not null,
  queues text[] not null default '{}',
  definitions text[] not null default '{}',
  actions text[] not null default '{}',
  started_at timestamptz not null default pg_catalog.now(),
  alive_at timestamptz not null default pg_catalog.now(),
  loop_at timestamptz not null default pg_catalog.now()
);

-- One row a run. running, queued, retrying and paused count its live steps, open_ends the completions
-- (or, once it is cancelled or failing, the running bodies) that are left until it has ended; every
-- statement that moves a step keeps them, under the row's lock. `status` is the fold over them. Somebody
-- in some process waits for a watched run: where it comes to rest is notified. `resting` is the status
-- while no body is under way: what lists are found by. It doesn't change with what changes most. `trace` is
-- what an instrument gave at the start, for the spans of later steps.
create table {schema}.runs (
  id uuid primary key,
  workflow text not null,
  definition text not null references {schema}.definitions,
  trigger text not null,
  payload json not null,
  key text,
  window_at timestamptz,
  replayed_from uuid references {schema}.runs on delete set null,
  parent uuid references {schema}.runs on delete set null,
  tags jsonb not null default '{}',
  priority smallint not null default 0,
  trace text,
  open_ends integer not null check (open_ends >= 0),
  running integer not null default 0 check (running >= 0),
  queued integer not null default 0 check (queued >= 0),
  retrying integer not null default 0 check (retrying >= 0),
  paused integer not null default 0 check (paused >= 0),
  watched boolean not null default false,
  error json,
  outcome text check (outcome in ('completed', 'failed', 'cancelled')),
  begun_at timestamptz,
  cancel_requested_at timestamptz,
  inserted_at timestamptz not null default {schema}.now(),
  updated_at timestamptz not null default {schema}.now(),
  ended_at timestamptz,
  status text not null generated always as (case
    when outcome is not null then outcome
    when cancel_requested_at is not null then 'cancelling'
    when begun_at is null then 'pending'
    when running + queued > 0 then 'running'
    when retrying > 0 then 'retrying'
    when paused > 0 then 'paused'
    else 'running' end) stored,
  resting text generated always as (case
    when outcome is not null then outcome
    when running > 0 then null
    when cancel_requested_at is not null then 'cancelling'
    when begun_at is null then 'pending'
    when queued > 0 then 'running'
    when retrying > 0 then 'retrying'
    when paused > 0 then 'paused'
    else 'running' end) stored,
  constraint ended_is_dated check ((outcome is null) = (ended_at is null)),
  constraint ended_has_no_live_step check (outcome is null or running + queued + retrying + paused = 0),
  constraint failed_has_error check (outcome is distinct from 'failed' or error is not null)
) with (fillfactor = 80);

create unique index runs_key on {schema}.runs (workflow, key) where key is not null;
create unique index runs_window on {schema}.runs (workflow, trigger, window_at) where window_at is not null;
-- Lists are read backwards, from the newest. Ascending, as the newest rows are then appended.
create index runs_listing on {schema}.runs (inserted_at, id);
-- Lists by status, workflow and trigger. A run enters it when it is started and when it has ended, and
-- in between only where it comes to rest.
create index runs_resting on {schema}.runs (resting, workflow, trigger, inserted_at, id) where resting is not null;
create index runs_replayed on {schema}.runs (replayed_from, inserted_at, id) where replayed_from is not null;
create index runs_children on {schema}.runs (parent) where parent is not null;
-- The runs that aren't in there. And what a sweep for interrupted steps reads.
create index runs_busy on {schema}.runs (id) where running > 0;

-- The tags of runs that have any, once more: to find runs by. `inserted_at` is the run's.
create table {schema}.run_tags (
  run_id uuid not null references {schema}.runs on delete cascade,
  key text not null,
  value text not null,
  inserted_at timestamptz not null,
  primary key (run_id, key)
);

create index run_tags_listing on {schema}.run_tags (key, value, inserted_at, run_id);

-- One row a step that has begun, is ready, or waits. No index names status: an index predicate's
-- columns count for HOT, and every claim and completion would pay. due_at is when a pending step became
-- ready or a scheduled one is due, and null otherwise, so one index serves both sweeps.
create table {schema}.steps (
  run_id uuid not null references {schema}.runs on delete cascade,
  step text not null,
  status text not null check (status in
    ('waiting', 'pending', 'scheduled', 'running', 'paused', 'completed', 'failed', 'cancelled')),
  attempt integer not null default 0 check (attempt >= 0),
  open_dependencies integer not null default 0 check (open_dependencies >= 0),
  claim bigint,
  queue text,
  job_id bigint,
  needs text,
  due_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  input json,
  output json,
  error json,
  resume json,
  standing text generated always as (case when status in ('pending', 'scheduled', 'paused') then step end) stored,
  primary key (run_id, step),
  constraint running_is_claimed check (status <> 'running'
    or (claim is not null and attempt > 0 and started_at is not null and open_dependencies = 0)),
  constraint waiting_has_dependencies check ((status = 'waiting') <= (open_dependencies > 0)),
  constraint ready_is_dated_or_parked check (status not in ('pending', 'scheduled')
    or (due_at is null) = (needs is not null)),
  constraint ended_is_dated check (status not in ('completed', 'failed') or finished_at is not null)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

create index steps_due on {schema}.steps (due_at) where due_at is not null;
-- Which runs are at a step: those that stand there. What runs is found through runs_busy.
create index steps_standing on {schema}.steps (standing, run_id) where standing is not null;
-- Parked steps: ready, but no worker had code that could call them.
create index steps_parked on {schema}.steps (needs) where needs is not null;

-- Attempts that ended otherwise than completed. Never updated. A step's last attempt is its own row, unless
-- it was interrupted and a person completed the step: such a row has no claim.
create table {schema}.attempts (
  run_id uuid not null references {schema}.runs on delete cascade,
  step text not null,
  number integer not null check (number > 0),
  status text not null check (status in ('failed', 'interrupted', 'cancelled')),
  error json,
  claim bigint,
  started_at timestamptz,
  finished_at timestamptz not null,
  primary key (run_id, step, number)
);

create view {schema}.step_attempts as
  select run_id, step, number, status, error, claim, started_at, finished_at from {schema}.attempts
  union all
  select run_id, step, attempt, case status when 'completed' then 'completed' else 'running' end,
         null, claim, started_at, case status when 'completed' then finished_at end
  from {schema}.steps
  where status = 'running' or status = 'completed' and claim is not null or status = 'paused' and error is null;

-- Manual decisions and what recovery did. Never updated.
create table {schema}.audit_events (
  id bigint primary key generated always as identity,
  run_id uuid not null references {schema}.runs on delete cascade,
  step text,
  type text not null check (type in ('paused', 'resumed', 'approved', 'rejected', 'timed_out',
    'interrupted', 'resolved', 'cancelled', 'replayed')),
  actor json,
  comment text,
  metadata json,
  key text,
  at timestamptz not null default {schema}.now()
);

create index audit_events_of_run on {schema}.audit_events (run_id, id);
create unique index audit_events_key on {schema}.audit_events (run_id, key) where key is not null;

-- One row a cron trigger that was ever declared. `expression` and `timezone` are what `next_window` was
-- made from. `job_id` is the Oban job of that window: null while it is paused, and when its workflow has
-- left the code. `claim` is the boot that last began to make a payload. attempts and error are of
-- payloads that couldn't be made.
create table {schema}.schedules (
  workflow text not null,
  trigger text not null,
  expression text not null,
  timezone text not null,
  last_window timestamptz,
  next_window timestamptz,
  job_id bigint,
  claim bigint,
  paused boolean not null default false,
  attempts integer not null default 0 check (attempts >= 0),
  error json,
  primary key (workflow, trigger),
  constraint windows_go_on check (next_window > last_window),
  constraint paused_has_no_job check (not paused or job_id is null)
);
