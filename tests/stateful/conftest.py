"""Fixtures of tests that play examples."""

from collections.abc import Generator

import pytest

from squid_mesh.runtime import jobs

# Before they are imported: what they assert is explained as in a test.
pytest.register_assert_rewrite("tests.stateful.stage", "tests.stateful.model")

from tests.stateful import model  # noqa: E402
from tests.stateful.playing import Theatre  # noqa: E402


@pytest.fixture
def theatre(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Generator[Theatre]:
    monkeypatch.setattr(jobs, "SLICE_STEPS", model.MOST_STEPS)
    theatre = Theatre(dsn)
    try:
        yield theatre
    finally:
        theatre.close()
