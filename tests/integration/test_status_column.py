"""`runs.status` and `runs.resting`, which Postgres generates, are what the engine says they are."""

from dataclasses import asdict
from itertools import product
from uuid import uuid4

import psycopg

from squid_mesh import ENDED
from squid_mesh.engine.states import Counts, run_status
from tests.conformance import conforms

INSERT = """
insert into squid_mesh.runs (id, workflow, definition, trigger, payload, open_ends, running, queued,
                             retrying, paused, error, outcome, begun_at, cancel_requested_at,
                             ended_at)
values (%(id)s, 'W', 'v', 'manual', '{}', 1, %(running)s, %(queued)s, %(retrying)s, %(paused)s,
        '{}', %(outcome)s, %(begun)s, %(cancelling)s, %(ended)s)
returning status, resting
"""


@conforms("S59")
def test_the_status_column_is_the_engine_s_fold(dsn: str) -> None:
    """Every combination of counts up to 2, begun, cancelling and outcome."""
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into squid_mesh.definitions values ('v', 'W', '{}')")
        numbers = (Counts(*counts) for counts in product(range(3), repeat=4))
        for counts, begun, cancelling in product(numbers, (False, True), (False, True)):
            for outcome in [None, *sorted(ENDED)] if counts == Counts() else [None]:
                row = asdict(counts) | {
                    "id": uuid4(),
                    "outcome": outcome,
                    "begun": "now" if begun else None,
                    "cancelling": "now" if cancelling else None,
                    "ended": "now" if outcome else None,
                }
                status, resting = connection.execute(INSERT, row).fetchone() or ("none", "none")
                folded = run_status(counts, begun=begun, cancelling=cancelling, outcome=outcome)
                assert status == folded, row
                assert resting == (None if counts.running else folded), row
