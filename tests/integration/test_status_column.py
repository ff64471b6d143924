"""`runs.status`, which Postgres generates, is what the engine says it is."""

from itertools import product
from uuid import uuid4

import psycopg

from squid_mesh import ENDED
from squid_mesh.engine.states import Counts, run_status

INSERT = """
insert into squid_mesh.runs (id, workflow, definition, trigger, payload, open_ends, running, queued,
                             retrying, paused, error, outcome, begun_at, cancel_requested_at,
                             ended_at)
values (%(id)s, 'W', 'v', 'manual', '{}', 1, %(running)s, %(queued)s, %(retrying)s, %(paused)s,
        '{}', %(outcome)s, %(begun)s, %(cancelling)s, %(ended)s)
returning status
"""


def test_the_status_column_is_the_engine_s_fold(dsn: str) -> None:
    """Every combination of counts up to 2, begun, cancelling and outcome."""
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into squid_mesh.definitions values ('v', 'W', '{}')")
        for *counts, begun, cancelling in product(*[range(3)] * 4, [False, True], [False, True]):
            for outcome in [None] if any(counts) else [None, *sorted(ENDED)]:
                names = ("running", "queued", "retrying", "paused")
                numbers = dict(zip(names, counts, strict=True))
                row = numbers | {
                    "id": uuid4(),
                    "outcome": outcome,
                    "begun": "now" if begun else None,
                    "cancelling": "now" if cancelling else None,
                    "ended": "now" if outcome else None,
                }
                (status,) = connection.execute(INSERT, row).fetchone() or ("none",)
                expected = run_status(
                    Counts(**numbers), begun=begun, cancelling=cancelling, outcome=outcome
                )
                assert status == expected, (row, status)
