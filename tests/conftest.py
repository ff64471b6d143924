"""Fixtures of all tests. Nothing starts before a test asks for it: unit tests need no server."""

import os
import re
from collections.abc import Generator

import pytest
from _pytest.nodeid import coerce_node_id
from hypothesis import HealthCheck, settings

from tests import database

# How long an example takes says something of the machine, not of the code.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

SERVER_VARIABLE = "SQUID_MESH_TEST_DSN"
REAL_WORLD = ("FEED_URL", "DISCORD_WEBHOOK_URL")
"""What the daily digest reads from and posts to, if it isn't told to stay at home."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have tests named the same in every process, without the addresses of their parameters."""
    item._id = coerce_node_id(re.sub(r"0x[0-9a-f]{6,}", "0x…", item.nodeid))


@pytest.fixture(scope="session", autouse=True)
def plain_environment() -> Generator[None]:
    """Hide the settings of whoever runs the tests: libpq's, and ours but for the server to use."""
    hidden = ("PG", "SQUID_MESH_", *REAL_WORLD)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(hidden) and name != SERVER_VARIABLE:
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def databases(plain_environment: None) -> Generator[database.Databases]:
    with database.server() as server, database.databases(server) as databases:
        yield databases


@pytest.fixture
def dsn(databases: database.Databases) -> Generator[str]:
    """A database of its own, with all schemas installed and no rows."""
    with databases.fresh() as dsn:
        yield dsn
