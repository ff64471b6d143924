"""Fixtures of the laws."""

from collections.abc import AsyncGenerator

import pytest

from tests.laws.journal import Journal, install
from tests.laws.worlds import Hand, hands


@pytest.fixture
async def journal(dsn: str) -> AsyncGenerator[Journal]:
    """Where bodies of every process write that they have begun."""
    await install(dsn)
    async with Journal(dsn) as journal:
        yield journal


@pytest.fixture
async def two(dsn: str) -> AsyncGenerator[list[Hand]]:
    """Two boots, each with a connection."""
    async with hands(dsn, 2) as both:
        yield both
