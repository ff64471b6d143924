"""The spans of starts: each run begins a trace, which is written with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import replace
from uuid import UUID

from squid_mesh.store.records import Start
from squid_mesh.telemetry import Starting, Telemetry

type Write[T] = Callable[[Sequence[Start]], Awaitable[T]]


async def traced[T](
    telemetry: Telemetry,
    starts: Sequence[Start],
    write: Write[T],
    *,
    created: Callable[[T], Container[UUID]],
    replays: str | None = None,
) -> T:
    """Write runs, each with a trace of its own when somebody traces; what `write` returns.

    `created` says of that which runs are new. `replays` is the trace of the run they replay.
    """
    if not telemetry.is_instrumented:
        return await write(starts)
    spans = [telemetry.begin_start(_starting(start, replays)) for start in starts]
    traces = [telemetry.trace_of(span) for span in spans]
    try:
        written = await write(
            [replace(s, trace=trace) for s, trace in zip(starts, traces, strict=True)]
        )
    except BaseException:
        for span in spans:
            telemetry.end(span, "raised")
        raise
    new = created(written)
    for start, span in zip(starts, spans, strict=True):
        telemetry.end(span, "created" if start.run_id in new else "held")
    return written


def _starting(start: Start, replays: str | None) -> Starting:
    return Starting(
        run_id=start.run_id,
        workflow=start.workflow,
        trigger=start.trigger,
        replays=replays,
        window=start.window_at,
    )
