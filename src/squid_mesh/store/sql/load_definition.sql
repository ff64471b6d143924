-- A definition that a run is pinned to.
select spec::text as spec from {schema}.definitions where version = %(version)s
