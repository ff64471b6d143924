"""A process that drives runs until a span of a name has ended, and prints the spans it made.

Run as `python -m tests.integration.tracing_process DSN NAME`. A line of JSON for each span.
"""

import asyncio
import json
import os
import sys

from tests.integration.observing import Napping, Sdk
from tests.meshes import eventually, on_host


async def main(dsn: str, name: str) -> None:
    sdk = Sdk()

    async def is_over() -> bool:
        return any(span.name == name for span in sdk.spans.get_finished_spans())

    async with on_host(dsn, [Napping], observers=[sdk.instrument()]):
        await eventually(is_over)
    for span in sdk.spans.get_finished_spans():
        assert span.context is not None
        facts = {
            "name": span.name,
            "process": os.getpid(),
            "trace": format(span.context.trace_id, "032x"),
            "parent": None if span.parent is None else format(span.parent.span_id, "016x"),
        }
        print(json.dumps(facts), flush=True)  # noqa: T201  # how the process talks to its test


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
