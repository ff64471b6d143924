"""Connections of the engine's own, apart from the pool that steps use; and a pool's check."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, LiteralString

import orjson
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool

from squid_mesh.store import columns

# Pins the shape of the committers' plans: nested loops over primary keys from a few records,
# whatever the statistics said when the plan was made. A plan cached while `runs` was tiny halves
# the throughput, and gets worse as the table grows.
_PLANS = """
set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_hashjoin = off;
set enable_mergejoin = off; set enable_bitmapscan = off; set jit = off; set work_mem = '64MB'
"""


# Whatever a database or a role defaults to: what is locked in one statement is decided in the next,
# which has to see what was committed in between. And what a host allows its own statements isn't
# what a flush may take: ours wait for no lock of a host's but where they say for how long.
SESSION = """
set default_transaction_isolation = 'read committed';
select set_config(name, '0', false) from pg_settings where setting <> '0' and name in
  ('statement_timeout', 'lock_timeout', 'transaction_timeout',
   'idle_in_transaction_session_timeout', 'idle_session_timeout')
"""


# Sweeps look a few rows up in large tables, with plans that may be as old as the empty tables were.
_LOOK_UP = "set enable_seqscan = off"


# Readers look a few rows up, however many there are and whatever is known of them; several
# statements see the same moment.
_LOOKING = """
set transaction isolation level repeatable read, read only;
set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off;
set local enable_bitmapscan = off; set local max_parallel_workers_per_gather = 0;
set local random_page_cost = 1; set local jit = off
"""


_FLUSH_BYTES = 4 * 1024 * 1024
"""A large flush: a hundred outputs of 40 kB."""


@asynccontextmanager
async def snapshot(connection: AsyncConnection[Any]) -> AsyncGenerator[None]:
    """One moment of the database, for reading: no statement within sees what comes after it."""
    async with connection.transaction():
        await connection.execute(_LOOKING, prepare=False)
        yield


# A server that is gone without a word (its machine lost power, its address moved) is given up
# within about a lease, whoever waits for whom. The kernel by itself waits for minutes to hours.
_LIVELINESS = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def lively(dsn: str) -> str:
    """A DSN whose connections notice a dead server soon; what it says itself about that stands."""
    said = conninfo_to_dict(dsn)
    return make_conninfo(dsn, **{k: v for k, v in _LIVELINESS.items() if k not in said})


async def connect(dsn: str, *, application: str = "squid_mesh") -> AsyncConnection[Any]:
    """A connection that commits each statement by itself and reads JSON with orjson."""
    return await _connect(dsn, application, f"{SESSION}; {_LOOK_UP}")


async def connect_committer(dsn: str) -> AsyncConnection[Any]:
    """A connection for group commits."""
    connection = await _connect(dsn, "squid_mesh committer", f"{SESSION}; {_PLANS}")
    if connection.info.host.startswith("/"):
        _widen(connection.pgconn.socket)
    return connection


def _widen(number: int) -> None:
    """Let a flush leave a Unix socket at once, however large, as far as the system allows.

    Else the server waits for the rest until this process' event loop comes by, a dozen times over.
    The buffer of a TCP connection grows by itself, unless it is set.
    """
    with socket.socket(fileno=os.dup(number)) as end, suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _FLUSH_BYTES)


async def connect_starter(dsn: str) -> AsyncConnection[Any]:
    """A connection for starts, which waits for nobody's uncommitted key."""
    return await _connect(dsn, "squid_mesh starter", f"{SESSION}; set lock_timeout = '5ms'")


async def check(connection: AsyncConnection[Any]) -> None:
    """Of a pool's connection: raise when it broke while nobody used it.

    A server that ends a connection says so. Only where something has come is it asked: psycopg's
    own check, which always asks, is a round trip for each use.
    """
    if _has_news(connection.pgconn.socket):
        await AsyncConnectionPool.check_connection(connection)


def _has_news(number: int) -> bool:
    """Whether there is something to read, or nobody at the other end."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


async def is_pooled(dsn: str) -> bool:
    """Whether a pooler stands before Postgres: then whoever answers isn't who was connected to.

    Asked on a connection of its own, which leaves no setting behind in somebody else's session.
    """
    async with await AsyncConnection.connect(lively(dsn), autocommit=True) as connection:
        cursor = await connection.execute("select pg_backend_pid()", prepare=False)
        row = await cursor.fetchone()
        return row != (connection.info.backend_pid,)


async def _connect(dsn: str, application: str, setup: LiteralString) -> AsyncConnection[Any]:
    connection = await AsyncConnection.connect(
        lively(dsn), autocommit=True, prepare_threshold=0, application_name=application
    )
    try:
        await connection.execute(setup, prepare=False)
    except BaseException:  # also when whoever connects is cancelled meanwhile
        await connection.close()
        raise
    columns.register(connection)
    set_json_loads(orjson.loads, connection)
    return connection
