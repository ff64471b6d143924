"""Fixtures of the laws."""

from collections.abc import AsyncGenerator

import pytest

from tests.laws.journal import Journal, install


@pytest.fixture
async def journal(dsn: str) -> AsyncGenerator[Journal]:
    """Where bodies of every process write that they have begun."""
    await install(dsn)
    async with Journal(dsn) as journal:
        yield journal
