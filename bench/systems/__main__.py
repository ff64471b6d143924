"""`python -m bench.systems NAME DSN LOAD`: measure one system, and print the result as JSON."""

from __future__ import annotations

import importlib
import sys

import uvloop

from bench.load import Load


def main(name: str, dsn: str, load: str) -> None:
    """Measure."""
    system = importlib.import_module(f"bench.systems.{name}")
    print(uvloop.run(system.measure(dsn, Load.load(load))).dump())


if __name__ == "__main__":
    main(*sys.argv[1:])
