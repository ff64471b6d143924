"""`python -m bench.studies STUDY CASE DSN SCALE`: one case; its rows are printed as JSON."""

from __future__ import annotations

import importlib
import json
import sys

import uvloop


def main(study: str, case: str, dsn: str, scale: str) -> None:
    """Measure."""
    module = importlib.import_module(f"bench.studies.{study}")
    print(json.dumps(uvloop.run(module.CASES[case](dsn, float(scale)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
