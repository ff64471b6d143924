"""Fixtures of tests that harm a database: a server for each module, a database for each test."""

from collections.abc import Generator

import pytest

from tests.database import Databases, databases
from tests.trouble.server import Server, harmed


@pytest.fixture(scope="module")
def server() -> Generator[Server]:
    with harmed(max_connections="60", deadlock_timeout="50ms") as server:
        yield server


@pytest.fixture(scope="module")
def on_it(server: Server) -> Generator[Databases]:
    with databases(server.dsn) as made:
        yield made


@pytest.fixture
def dsn(on_it: Databases) -> Generator[str]:
    """In place of the session's own, which stays unharmed."""
    with on_it.fresh() as dsn:
        yield dsn
