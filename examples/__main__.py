"""`python -m examples` runs every example: each plays all that it has, and says how it went."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 120
"""How many seconds an example may take."""

_HERE = Path(__file__).parent


def examples() -> Iterator[str]:
    """The modules of all examples that can be run."""
    for main in sorted(_HERE.glob("*/__main__.py")):
        yield f"{_HERE.name}.{main.parent.name}"
    if (_HERE / "web").is_dir():  # a server has no end of its own: somebody orders from it
        yield f"{_HERE.name}.ordering"


def is_sound(module: str) -> bool:
    """Whether an example, run without arguments, ended well and in time."""
    print(f"\n— {module}", flush=True)
    try:
        ended = subprocess.run(  # noqa: S603 (our own examples)
            [sys.executable, "-m", module], cwd=_HERE.parent, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        print(f"{module} was not over after {PATIENCE} s.")
        return False
    return ended.returncode == 0


def main() -> int:
    """Run them one after the other; 0 when all ended well, 1 when one didn't, 130 on Ctrl-C."""
    try:
        failed = [module for module in examples() if not is_sound(module)]
    except KeyboardInterrupt:
        return 130
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nEvery example ended as it should.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
