"""Fixtures of the program's tests."""

from collections.abc import Generator

import pytest

from tests.database import Databases, execute


@pytest.fixture
def empty(databases: Databases) -> Generator[str]:
    """A database without any schema of ours or of Oban's."""
    yield from _empty(databases)


@pytest.fixture
def another(databases: Databases) -> Generator[str]:
    """Another one."""
    yield from _empty(databases)


def _empty(databases: Databases) -> Generator[str]:
    with databases.fresh() as dsn:
        execute(dsn, b"drop schema squid_mesh cascade; drop schema public cascade")
        execute(dsn, b"create schema public")
        yield dsn
