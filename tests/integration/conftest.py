"""Fixtures of tests with a mesh."""

from collections.abc import AsyncGenerator

import pytest

from tests.integration.transactional import Stage, staged
from tests.meshes import Probe


@pytest.fixture
async def probe() -> Probe:
    return Probe()


@pytest.fixture
async def stage(dsn: str) -> AsyncGenerator[Stage]:
    async with staged(dsn) as stage:
        yield stage
