-- How far tests have moved this schema's clock on.
select shift from {schema}.clock
