"""What a command checked, and whether it was so."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Checks:
    """Prints each check as it is made, and counts those that failed."""

    made: int = 0
    failed: int = 0

    def that(self, what: str, found: object, expected: object) -> None:
        """Check that `what` is as expected."""
        self.made += 1
        if found == expected:
            print(f"  ok   {what}: {found}", flush=True)
            return
        self.failed += 1
        print(f"  NOT  {what}: {found}, expected {expected}", flush=True)

    @contextmanager
    def about(self, title: str) -> Iterator[None]:
        """Put a title above the checks of the block; what it raises is a check that failed."""
        print(title, flush=True)
        try:
            yield
        except Exception as error:  # noqa: BLE001 (whatever it is, it is told, and the rest goes on)
            self.that("nothing is raised", f"{type(error).__name__}: {error}", None)

    def verdict(self) -> int:
        """Print the sum of it; the exit code."""
        print(f"{self.made} checks, {self.failed} failed.", flush=True)
        return 1 if self.failed or not self.made else 0
