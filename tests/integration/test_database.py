import psycopg

from tests.database import Databases


def test_a_database_has_obans_schema(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        assert conn.execute("select count(*) from oban_jobs").fetchone() == (0,)


def test_a_database_is_not_the_one_of_another_test(dsn: str, databases: Databases) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute("create table mine ()")
    with databases.fresh() as other, psycopg.connect(other) as conn:
        assert conn.execute("select to_regclass('mine')").fetchone() == (None,)


def test_a_database_is_dropped_even_while_somebody_is_connected(databases: Databases) -> None:
    with databases.fresh() as dsn:
        left_open = psycopg.connect(dsn)
    with psycopg.connect(databases.server) as conn:
        name = left_open.info.dbname
        found = conn.execute("select 1 from pg_database where datname = %s", [name]).fetchone()
    left_open.close()
    assert found is None
