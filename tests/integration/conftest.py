"""Fixtures of tests with a mesh."""

import pytest

from tests.meshes import Probe


@pytest.fixture
async def probe() -> Probe:
    return Probe()
