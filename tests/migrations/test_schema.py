"""The migrations make what the repository says they make."""

from tests.conformance import conforms
from tests.migrations.catalogue import FILE, dump


@conforms("S195", "S196", "S197", "S198")
def test_the_schema_is_the_one_on_file(dsn: str) -> None:
    """A change shows in review as what it changes: `python -m tests.migrations.catalogue`."""
    assert dump(dsn) == FILE.read_text(encoding="utf-8")
