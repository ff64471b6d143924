"""The commands and their options. What they do is in the modules beside this one."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from squid_mesh.cli import checking, installing, migrating, status, supervisor, target, worker
from squid_mesh.cli.complaints import Complaint, Unreachable, complaining
from squid_mesh.cli.place import Named, place_of
from squid_mesh.cli.scripts import all_migrations
from squid_mesh.inspection.health import Health
from squid_mesh.store.statements import Statements

type Limits = dict[str, int | None]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="squid-mesh")
def program() -> None:
    """Durable workflows on your own Postgres and Oban.

    TARGET is module:name, as in app.workflows:mesh. It names a Mesh, or a function that gives one,
    or a function that gives an (async) context manager around one.
    """


def _schemas(command: Callable[..., None]) -> Callable[..., None]:
    schema = click.option("--schema", help="The schema of Squid Mesh's tables.  [squid_mesh]")
    prefix = click.option("--oban-prefix", help="The schema of Oban's tables.  [public]")
    return schema(prefix(command))


def _installation(command: Callable[..., None]) -> Callable[..., None]:
    wanted = click.argument("target", required=False)
    dsn = click.option(
        "--dsn", envvar="SQUID_MESH_DSN", help="postgresql://…  [$SQUID_MESH_DSN, TARGET's]"
    )
    return wanted(dsn(_schemas(command)))


@program.command()
@click.option("--alembic", type=click.Path(path_type=Path), help="Alembic's versions folder.")
@click.option("--sql", type=click.Path(path_type=Path), help="A folder of SQL files.")
@click.option("--oban", "with_oban", is_flag=True, help="Oban's tables too.")
@click.option("--after", help="The Alembic head to follow, where there are several.")
@_schemas
def install(
    alembic: Path | None,
    sql: Path | None,
    after: str | None,
    schema: str | None,
    oban_prefix: str | None,
    *,
    with_oban: bool,
) -> None:
    """Write migrations into your own folder of them, those that it doesn't have yet."""
    with complaining():
        statements = Statements(schema or "squid_mesh", oban_prefix or "public")
        match alembic, sql:
            case Path(), None:
                folder: installing.Folder = installing.AlembicFolder(alembic, after)
            case None, Path() if after is None:
                folder = installing.SqlFolder(sql)
            case None, Path():
                raise Complaint("--after is for Alembic's revisions", "SQL files have no heads")
            case _:
                raise Complaint("which folder?", "give either --alembic FOLDER or --sql FOLDER")
        for line in installing.install(folder, all_migrations(statements, with_oban=with_oban)):
            click.echo(line)


@program.command()
@_installation
@click.option("--oban", "with_oban", is_flag=True, help="Oban's tables too.")
def migrate(*, with_oban: bool, **named: str | None) -> None:
    """Apply to a database what it lacks: safe to run twice, and by several at once."""

    async def run() -> list[str]:
        async with place_of(Named(**named)) as place:
            return await migrating.migrate(place, with_oban=with_oban)

    for line in _run(run()) or ["nothing to do"]:
        click.echo(line)


@program.command("status")
@_installation
@click.option("--here", is_flag=True, help="Only judge the workers of this machine.")
@click.option("--late", default=60.0, show_default=True, help="Seconds a step may be ready.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show_status(*, here: bool, late: float, as_json: bool, **named: str | None) -> None:
    """Show schema, definitions, workers and queues; exit with 1 if something is wrong."""

    async def run() -> Health:
        async with place_of(Named(**named)) as place:
            patience = dataclasses.replace(place.patience, late=late)
            return await status.look(place, patience)

    health = _run(run())
    problems = health.problems(socket.gethostname() if here else None)
    status.show(health, problems, as_json=as_json)
    sys.exit(1 if problems else 0)


@program.command()
@click.argument("target", metavar="TARGET")
def check(**named: str) -> None:
    """Import TARGET and print everything that is wrong with it; exit with 1 if anything is."""
    verdict = _run(checking.check(target.parse(named["target"])))
    for line in verdict.problems:
        click.echo(line)
    if verdict.problems:
        count = len(verdict.problems)
        raise Complaint(f"{count} problem{'s' if count > 1 else ''}")
    for line in verdict.notes:
        click.echo(f"note: {line}, which this Oban doesn't serve: another process has to")
    click.echo(f"{', '.join(verdict.workflows) or 'no workflow'}: no problems")


def _queues(_: click.Context, __: click.Parameter, text: str | None) -> Limits | None:
    """Queues by name with how many jobs at once, None for as many as the Oban itself says."""
    if text is None:
        return None
    queues: Limits = {}
    for part in text.split(","):
        name, colon, limit = part.strip().partition(":")
        if not name or (colon and not (limit.isdecimal() and int(limit) > 0)):
            raise click.BadParameter(f"{part!r}: write name:limit, as in squid_mesh:10,slow:2")
        queues[name] = int(limit) if colon else None
    return queues


@program.command("worker")
@click.argument("target", metavar="TARGET")
@click.option("--queues", callback=_queues, help="name:limit,…; serve these queues and no others.")
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--child", is_flag=True, hidden=True)
def work(queues: Limits | None, processes: int, *, child: bool, **named: str) -> None:
    """Work on runs until SIGTERM or SIGINT, which drains; a second one ends it at once."""
    wanted = target.parse(named["target"])
    if processes > 1:
        sys.exit(supervisor.supervise(_again(wanted, queues), processes))
    try:
        worker.run(worker.Work(wanted, queues, is_child=child))
    except Complaint as complaint:
        if not child or isinstance(complaint, Unreachable):
            raise
        complaint.show()
        sys.exit(supervisor.CANNOT_BEGIN)


def _again(wanted: target.Target, queues: Limits | None) -> list[str]:
    """The arguments of one of several processes."""
    if queues is None:
        return [str(wanted), "--child"]
    pairs = (queue if limit is None else f"{queue}:{limit}" for queue, limit in queues.items())
    return [str(wanted), "--child", "--queues", ",".join(pairs)]


def _run[T](command: Coroutine[Any, Any, T]) -> T:
    with complaining():
        return asyncio.run(command)
