-- Names the transaction that this is executed in, if it has a name yet, and pins the shape of the plans
-- until it ends, as committers do for good: nested loops over primary keys from one record, also in a
-- plan that is cached while tables are tiny. Locks nothing.
select pg_current_xact_id_if_assigned()::text,
       set_config('plan_cache_mode', 'force_generic_plan', true),
       set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('jit', 'off', true)
