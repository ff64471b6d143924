"""`squid-mesh migrate`, on databases where nothing is installed yet."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.cli.program import run
from tests.clock import every, one
from tests.database import execute
from tests.migrations.catalogue import FILE, dump


async def test_what_is_missing_is_applied_and_nothing_the_second_time(empty: str) -> None:
    first = await run("migrate", "--oban", "--dsn", empty)
    again = await run("migrate", "--oban", "--dsn", empty)
    assert (first.code, again.code) == (0, 0)
    assert first.out.splitlines() == [
        "installed Oban in schema public",
        "applied 0001_schema.sql to schema squid_mesh",
    ]
    assert again.out == "nothing to do\n"
    assert dump(empty) == FILE.read_text(encoding="utf-8")


async def test_oban_is_left_to_the_host_unless_asked_for(empty: str) -> None:
    ended = await run("migrate", "--dsn", empty)
    assert ended.code == 0
    assert "Oban's tables are not in schema public: --oban installs them" in ended.out
    assert await one(empty, "select to_regclass('public.oban_jobs')") == (None,)


async def test_schemas_may_have_other_names(empty: str) -> None:
    options = ["--oban", "--schema", "flows", "--oban-prefix", "jobs", "--dsn", empty]
    first, again = await run("migrate", *options), await run("migrate", *options)
    assert (first.code, again.code) == (0, 0), again.err
    named = "select to_regclass('flows.runs')::text, to_regclass('jobs.oban_jobs')::text"
    assert await one(empty, named) == ("flows.runs", "jobs.oban_jobs")
    assert await every(empty, "select 1 where to_regnamespace('squid_mesh') is not null") == []


async def test_a_mesh_says_where_its_tables_are(empty: str) -> None:
    ended = await run("migrate", "tests.cli.host:elsewhere", "--oban", dsn=empty)
    assert ended.out.splitlines()[-1] == "applied 0001_schema.sql to schema flows"


async def test_another_user_than_the_meshs_may_migrate(empty: str) -> None:
    """The mesh's own DSN leads nowhere here."""
    ended = await run("migrate", "tests.cli.host:elsewhere", "--oban", "--dsn", empty)
    assert ended.code == 0
    assert await one(empty, "select to_regclass('flows.runs')::text") == ("flows.runs",)


async def test_several_may_migrate_at_once(empty: str) -> None:
    ended = await asyncio.gather(*(run("migrate", "--oban", "--dsn", empty) for _ in range(3)))
    assert [one.code for one in ended] == [0, 0, 0]
    assert sum("applied" in one.out for one in ended) == 1


async def test_a_user_who_may_not_is_told_what_is_needed(empty: str) -> None:
    role = urlsplit(empty).path.removeprefix("/")
    execute(empty, f'create role "{role}" login'.encode())
    try:
        weak = urlsplit(empty)._replace(netloc=f"{role}@").geturl()
        ended = await run("migrate", "--dsn", weak)
    finally:
        execute(empty, f'drop role "{role}"'.encode())
    assert ended.code == 1
    assert ended.err.startswith("Error: Postgres refused: permission denied for ")
    assert "Hint: use a DSN whose user may do this" in ended.err


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        ([], "which database?", "name a mesh, as in app.workflows:mesh, or give --dsn"),
        (
            ["--dsn", "postgresql+psycopg://me:hush-hush@here/app"],
            "the DSN can't be read",
            "postgresql+psycopg:// is SQLAlchemy's: write postgresql://",
        ),
        (["--dsn", "hush-hush"], "the DSN can't be read", "write postgresql://user@host"),
        (["--dsn", "postgresql://me:hush-hush@127.0.0.1:1/a"], "the database can't be reached", ""),
        (["--dsn", "dbname=a", "--schema", "A-b"], "schema='A-b' is no plain identifier", ""),
        (
            ["tests.cli.host:connected", "--schema", "flows"],
            "--schema and --oban-prefix are what tests.cli.host:connected says they are",
            "leave them out",
        ),
    ],
)
async def test_a_place_that_is_none_is_told_without_its_secrets(
    arguments: list[str], sentence: str, hint: str
) -> None:
    ended = await run("migrate", *arguments)
    assert ended.code == 1
    assert sentence in ended.err
    assert hint in ended.err
    assert "hush-hush" not in ended.err
