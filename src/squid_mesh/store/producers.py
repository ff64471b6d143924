"""Which running Obans serve a queue, by Oban's own table of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from squid_mesh.store.hosts import cursor_on
from squid_mesh.store.statements import Statements

SILENCE_SECONDS = 60.0
"""After how long a silence Oban itself takes a process for dead, unless configured otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """One process's Oban at one queue: how many jobs it runs at once there, unless it is paused."""

    queue: str
    name: str
    node: str
    paused: bool
    limit: int | None
    seen_at: datetime


async def find_producers(
    connection: AsyncConnection[Any], statements: Statements, queues: Iterable[str]
) -> list[Producer]:
    """Every Oban that serves one of these queues, by queue and node; the paused ones too.

    A process that was killed stays among them for a minute, unless another Oban finds out sooner.
    """
    async with cursor_on(connection, class_row(Producer)) as cursor:
        await cursor.execute(
            statements["find_producers"],
            {"queues": sorted(queues), "silence": SILENCE_SECONDS},
        )
        return await cursor.fetchall()
