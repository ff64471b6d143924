"""`squid-mesh status`: how an installation is, for a person and for a health check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click
import orjson
from rich.console import Console
from rich.table import Table

from squid_mesh.cli.place import Place, connected
from squid_mesh.dispatch import oban as dispatch
from squid_mesh.inspection.health import Health, Patience, Worker, examine


async def look(place: Place, patience: Patience) -> Health:
    """Read it all from the database. Raises `Complaint`."""
    async with connected(place.dsn) as connection:
        has_oban = await dispatch.is_installed(connection, place.statements.oban)
        return await examine(connection, place.statements, patience, has_oban=has_oban)


def show(health: Health, problems: Sequence[str], *, as_json: bool) -> None:
    """Print it."""
    if as_json:
        facts = {"healthy": not problems, "problems": problems, **asdict(health)}
        click.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(_schema(health), markup=False)
    if health.work is not None:
        for table in (_workers(health), _definitions(health), _queues(health)):
            console.print(table)
        if parked := health.work.parked:
            console.print(f"{parked} steps wait for code that fits them.", markup=False)
    for problem in problems:
        console.print(f"✗ {problem}", markup=False)
    console.print("unhealthy" if problems else "healthy", markup=False)


def _schema(health: Health) -> str:
    if health.lacking is None:
        return f"schema {health.schema}: not installed"
    if health.lacking:
        return f"schema {health.schema}: lacks {', '.join(map(str, health.lacking))}"
    return f"schema {health.schema}: up to date"


def _workers(health: Health) -> Table:
    table = _table("worker", "pid", "mesh", "since", "state")
    for one in health.workers:
        since = f"{one.started_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(one.node, str(one.pid), one.mesh, since, _state(health, one))
    return table


def _state(health: Health, worker: Worker) -> str:
    if not health.is_alive(worker):
        return f"silent for {worker.silent:.0f} s"
    if health.is_blocked(worker):
        return f"blocked for {worker.loop_silent:.0f} s"
    return "alive"


def _definitions(health: Health) -> Table:
    table = _table("workflow", "definition", "since", "older", "workers")
    for one in health.definitions:
        having = [w for w in health.workers if health.is_alive(w) and one.version in w.definitions]
        since = f"{one.inserted_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(one.workflow, one.version[:12], since, str(one.older), str(len(having)))
    return table


def _queues(health: Health) -> Table:
    table = _table("queue", "available", "executing", "scheduled", "oldest", "served by")
    for one in health.queues:
        oldest = "" if one.oldest is None else f"{one.oldest:.0f} s"
        served = f"{one.processes} ({one.slots} at once)" if one.processes else "nobody"
        if one.paused:
            served += f", {one.paused} paused"
        counts = map(str, (one.available, one.executing, one.scheduled))
        table.add_row(one.queue, *counts, oldest, served)
    return table


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False, header_style="bold")
