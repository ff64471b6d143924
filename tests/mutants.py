"""Mutation testing of the engine: `./dev mutants` changes its code a line at a time and counts how
many changes the unit tests notice. Fails below the score that the project promises."""

import json
import subprocess
import sys
from pathlib import Path

PROMISED = 85
STATS = Path("mutants/mutmut-cicd-stats.json")


def main() -> int:
    for command in ("run", "results", "export-cicd-stats"):
        status = subprocess.run([sys.executable, "-m", "mutmut", command], check=False).returncode
        if status != 0:
            return status
    stats = json.loads(STATS.read_text())
    noticed = stats["killed"] + stats["timeout"] + stats["segfault"]
    tried = stats["total"] - stats["skipped"]
    score = 100 * noticed / tried if tried else 0
    print(f"mutation score {score:.1f} %: {noticed} of {tried} noticed, {PROMISED} % promised")
    return 0 if score >= PROMISED else 1


if __name__ == "__main__":
    sys.exit(main())
