"""What Squid Mesh does under other loads than chains: each study a module with `CASES`.

A case is a coroutine function of a DSN (of a fresh server) and a scale (1.0 is what the
documentation shows), run in a process of its own. It returns rows of figures; their keys say what
they are, with the unit. `SETTINGS` of a module are the server's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

type Row = dict[str, float | str]
type Case = Callable[[str, float], Awaitable[list[Row]]]

STUDIES = (
    "fan_out",
    "resting",
    "processes",
    "history",
    "burst",
    "long_runs",
    "endurance",
)
