"""`squid-mesh install`: the files it writes, applied by Alembic itself and by psql's rules."""

import asyncio
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from squid_mesh.cli import scripts
from squid_mesh.cli.installing import AlembicFolder, SqlFolder, install
from squid_mesh.cli.scripts import Migration, all_migrations, statements_of
from squid_mesh.dispatch.oban import install_script
from squid_mesh.store import migrations
from squid_mesh.store.statements import Statements
from tests.cli import host
from tests.cli.program import Ended, run
from tests.clock import every, one
from tests.conformance import conforms
from tests.meshes import on_host, play
from tests.migrations.catalogue import FILE, dump

HOSTS_OWN = '''"""A table of the host's."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "{id}", {after!r}, None, None


def upgrade() -> None:
    op.execute("create table {id} ()")


def downgrade() -> None:
    op.execute("drop table {id}")
'''


@pytest.fixture
async def project(tmp_path: Path, empty: str) -> Path:
    """A host with an Alembic of its own, as `alembic init` makes it, and a first revision."""
    assert (await alembic(tmp_path, "init", "migrations")).code == 0
    settings = tmp_path / "alembic.ini"
    url = urlsplit(empty)._replace(scheme="postgresql+psycopg").geturl()
    text = re.sub(r"(?m)^sqlalchemy.url = .*$", f"sqlalchemy.url = {url}", settings.read_text())
    settings.write_text(text, encoding="utf-8")
    hosts_own(tmp_path, "first", after=None)
    return tmp_path


def hosts_own(project: Path, name: str, after: str | None) -> None:
    """Write a revision of the host's."""
    file = project / "migrations" / "versions" / f"{name}.py"
    file.write_text(HOSTS_OWN.format(id=name, after=after), encoding="utf-8")


async def alembic(project: Path, *arguments: str) -> Ended:
    """Run Alembic in a host's folder."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alembic", *arguments),
        cwd=project,
        env=os.environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def installed(project: Path, *options: str) -> list[str]:
    """What the program says when it writes into the host's versions."""
    ended = await run("install", "--alembic", "migrations/versions", *options, cwd=project)
    assert (ended.code, ended.err) == (0, "")
    return ended.out.splitlines()


async def test_alembic_upgrades_to_the_same_schema_as_we_do(project: Path, empty: str) -> None:
    wrote_oban, wrote_ours = await installed(project, "--oban")
    assert re.fullmatch(r"wrote migrations/versions/oban_\w{8}\.py", wrote_oban)
    assert wrote_ours == "wrote migrations/versions/squid_mesh_0001.py"
    upgraded = await alembic(project, "upgrade", "head")
    assert upgraded.code == 0, upgraded.err
    assert dump(empty) == FILE.read_text(encoding="utf-8")
    assert await one(empty, "select version_num from alembic_version") == ("squid_mesh_0001",)
    assert await one(empty, "select name from squid_mesh.migrations") == ("0001_schema.sql",)

    async with on_host(empty, host.WORKFLOWS) as mesh:
        assert (await play(mesh, host.Tell)).status == "completed"
    assert (await run("migrate", "--oban", "--dsn", empty)).out == "nothing to do\n"

    back = await alembic(project, "downgrade", "base")
    assert back.code == 0, back.err
    assert await every(empty, "select 1 where to_regnamespace('squid_mesh') is not null") == []
    assert await one(empty, "select to_regclass('oban_jobs')") == (None,)
    assert (await alembic(project, "upgrade", "head")).code == 0


async def test_alembic_upgrades_schemas_of_other_names(project: Path, empty: str) -> None:
    await installed(project, "--oban", "--schema", "flows", "--oban-prefix", "jobs")
    upgraded = await alembic(project, "upgrade", "head")
    assert upgraded.code == 0, upgraded.err
    options = ["--schema", "flows", "--oban-prefix", "jobs", "--dsn", empty]
    assert (await run("migrate", "--oban", *options)).out == "nothing to do\n"
    assert (await run("status", *options)).out.startswith("schema flows: up to date")
    named = "select to_regclass('squid_mesh.runs'), to_regclass('public.oban_jobs')"
    assert await one(empty, named) == (None, None)
    assert (await alembic(project, "downgrade", "base")).code == 0


async def test_alembic_prints_what_it_would_do(project: Path, empty: str) -> None:
    """`--sql`: nothing of ours asks the database."""
    await installed(project, "--oban")
    printed = await alembic(project, "upgrade", "head", "--sql")
    assert printed.code == 0, printed.err
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute(printed.out.encode())
    assert dump(empty) == FILE.read_text(encoding="utf-8")


@conforms("S200")
async def test_again_only_what_is_missing_is_written(project: Path, empty: str) -> None:
    await installed(project)
    hosts_own(project, "second", after="squid_mesh_0001")
    kept, wrote_flows = await installed(project), await installed(project, "--schema", "flows")
    wrote_oban, again = await installed(project, "--oban")
    assert kept == ["kept  migrations/versions/squid_mesh_0001.py"]
    assert wrote_flows == ["wrote migrations/versions/flows_0001.py"]
    assert wrote_oban.startswith("wrote migrations/versions/oban_")
    assert again == kept[0]

    history = await alembic(project, "history")
    order = re.findall(r"-> (\w+)", history.out)
    assert [name.partition("_")[0] for name in reversed(order)] == [
        "first",
        "squid",
        "second",
        "flows",
        "oban",
    ]
    upgraded = await alembic(project, "upgrade", "head")
    assert upgraded.code == 0, upgraded.err
    assert await one(empty, "select to_regclass('second')::text") == ("second",)


async def test_a_database_that_was_migrated_otherwise_is_not_migrated_twice(
    project: Path, empty: str
) -> None:
    await run("migrate", "--dsn", empty)
    await installed(project)
    refused = await alembic_failing(project, "upgrade", "head")
    assert "Key (version)=(1) already exists" in refused
    assert (await alembic(project, "stamp", "head")).code == 0
    assert (await alembic(project, "upgrade", "head")).code == 0


async def alembic_failing(project: Path, *arguments: str) -> str:
    """What Alembic says when it fails: it shows tracebacks."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alembic", *arguments),
        cwd=project,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    return err.decode()


async def test_of_several_heads_one_has_to_be_named(project: Path) -> None:
    hosts_own(project, "this", after="first")
    hosts_own(project, "that", after="first")
    versions = ["install", "--alembic", "migrations/versions"]
    ended = await run(*versions, cwd=project)
    assert ended.code == 1
    assert re.match(r"Error: these revisions have 2 heads: (this, that|that, this)", ended.err)
    assert "Hint: name the one to go on from with --after" in ended.err

    ended = await run(*versions, "--after", "first", cwd=project)
    assert "Error: 'first' is no head of these revisions" in ended.err

    ended = await run(*versions, "--after", "this", cwd=project)
    assert ended.out == "wrote migrations/versions/squid_mesh_0001.py\n"
    assert (await alembic(project, "upgrade", "squid_mesh_0001")).code == 0


async def test_revisions_that_alembic_cannot_read_are_told(project: Path) -> None:
    (project / "migrations" / "versions" / "bad.py").write_text("1 / 0", encoding="utf-8")
    ended = await run("install", "--alembic", "migrations/versions", cwd=project)
    assert ended.code == 1
    assert ended.err == (
        "Error: Alembic can't read migrations/versions: ZeroDivisionError: division by zero "
        "(migrations/versions/bad.py:1)\n"
    )


@conforms("S201")
@pytest.mark.parametrize(
    ("options", "sentence", "hint"),
    [
        ([], "which folder?", "give either --alembic FOLDER or --sql FOLDER"),
        (["--sql", "a", "--alembic", "b"], "which folder?", "give either"),
        (["--sql", "nowhere"], "there is no folder nowhere", "make it, or name another one"),
        (["--alembic", "nowhere"], "there is no folder nowhere", "make it"),
        (["--sql", ".", "--after", "x"], "--after is for Alembic's revisions", "SQL files have"),
        (["--sql", ".", "--schema", "A-b"], "schema='A-b' is no plain identifier", ""),
    ],
)
async def test_a_folder_that_is_none_is_told(
    tmp_path: Path, options: list[str], sentence: str, hint: str
) -> None:
    ended = await run("install", *options, cwd=tmp_path)
    assert ended.code == 1
    assert f"Error: {sentence}" in ended.err or f"Error: invalid configuration: {sentence}" in (
        ended.err
    )
    assert hint in ended.err
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240  # nobody waits for this loop


async def test_without_alembic_sql_files_can_be_written(tmp_path: Path) -> None:
    lacking = "import sys; sys.modules['alembic'] = None; from squid_mesh.cli import main; main()"
    options = ["-c", lacking, "install"]
    ended = await run(*options, "--alembic", ".", program=sys.executable, cwd=tmp_path)
    assert ended.code == 1
    assert "Error: Alembic isn't installed here" in ended.err
    assert "or write --sql files" in ended.err
    ended = await run(*options, "--sql", ".", program=sys.executable, cwd=tmp_path)
    assert ended.code == 0


async def test_sql_files_make_the_same_schema_in_the_order_of_their_names(
    tmp_path: Path, empty: str
) -> None:
    first = await run("install", "--sql", ".", cwd=tmp_path)
    again = await run("install", "--sql", ".", "--oban", cwd=tmp_path)
    (ours,) = first.out.splitlines()
    assert re.fullmatch(r"wrote \d{14}_squid_mesh_0001\.sql", ours)
    oban, kept = again.out.splitlines()
    assert re.fullmatch(r"wrote \d{14}_oban_\w{8}\.sql", oban)
    assert kept == ours.replace("wrote", "kept ")

    files = sorted(tmp_path.iterdir())  # noqa: ASYNC240  # nobody waits for this loop
    assert len(files) == 2
    for file in files:
        with psycopg.connect(empty) as connection:
            connection.execute(file.read_bytes())
    assert dump(empty) == FILE.read_text(encoding="utf-8")
    assert (await run("migrate", "--oban", "--dsn", empty)).out == "nothing to do\n"


# -- the writing, on migrations that are still to come

LATER = Migration(id="squid_mesh_0002", title="later", up="select 2;", down=None)


def test_a_migration_that_is_new_follows_those_that_are_there(tmp_path: Path) -> None:
    ours = all_migrations(Statements(), with_oban=False)
    install(AlembicFolder(tmp_path), ours)
    said = install(AlembicFolder(tmp_path), [*ours, LATER])
    assert [line.split()[0] for line in said] == ["kept", "wrote"]
    text = (tmp_path / "squid_mesh_0002.py").read_text(encoding="utf-8")
    assert "down_revision = 'squid_mesh_0001'" in text
    assert "raise NotImplementedError" in text


def test_sql_files_sort_as_they_are_to_apply(tmp_path: Path) -> None:
    install(SqlFolder(tmp_path), [*all_migrations(Statements(), with_oban=True), LATER])
    names = [file.name.partition("_")[2] for file in sorted(tmp_path.iterdir())]
    assert [name.partition("_")[0] for name in names] == ["oban", "squid", "squid"]
    assert names[1:] == ["squid_mesh_0001.sql", "squid_mesh_0002.sql"]


@pytest.mark.parametrize("schema", ["squid_mesh", "a" * 27, "a" * 28, "b" * 63])
def test_a_revision_has_room_in_alembics_table(schema: str) -> None:
    (ours,) = all_migrations(Statements(schema), with_oban=False)
    assert len(ours.id) <= scripts.LONGEST_ID
    assert ours.id.endswith("_0001")


def test_schemas_with_the_same_beginning_have_revisions_of_their_own() -> None:
    names = ["a" * 40, "a" * 41]
    assert len({all_migrations(Statements(n), with_oban=False)[0].id for n in names}) == 2


@pytest.mark.parametrize(
    "script",
    [install_script("jobs"), install_script("public")]
    + [script.sql for script in migrations.scripts(Statements())],
)
def test_a_script_is_its_statements(script: str) -> None:
    parts = list(statements_of(script))
    assert re.sub(r"\s+|;", "", "".join(parts)) == re.sub(r"\s+|;", "", script)
    assert all(parts)


def test_semicolons_in_text_names_and_comments_end_nothing() -> None:
    script = "a ';' \";\" -- ;\n/* ; */ $$;$$ $x$;$$;$x$ 'it''s;' 1-2/3;b $1;"
    assert list(statements_of(script)) == [script[: script.index("b $1") - 1], "b $1"]
