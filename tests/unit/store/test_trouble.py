"""When a process says that its database is in trouble. Time is set."""

import logging
from collections.abc import Generator

import psycopg
import pytest
from psycopg import errors

from squid_mesh.store import trouble
from squid_mesh.store.trouble import LASTING_SECONDS, QUIET_SECONDS, Trouble, passes

AWAY = psycopg.OperationalError("the server is away")


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(f"{trouble.__name__}.time.monotonic", clock)
    return clock


@pytest.fixture(autouse=True)
def hear(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    with caplog.at_level(logging.WARNING, trouble.__name__):
        yield


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said, as much of it as tells one line from the other."""
    texts = [record.getMessage() for record in caplog.records]
    return ["over" if "again, after" in text else "trouble" for text in texts]


def test_a_thousand_tries_of_many_parts_are_one_trouble(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    told = Trouble()
    for _ in range(1000):
        clock.at += 1
        for part in ("claims", "progress", "heartbeat"):
            told.met(part, AWAY)
    assert said(caplog) == ["trouble"]
    assert "claims: the server is away" in caplog.text
    for part in ("progress", "claims"):
        told.over(part)
        assert said(caplog) == ["trouble"]
    told.over("heartbeat")
    assert said(caplog) == ["trouble", "over"]
    assert "after 999.0 s" in caplog.text


def test_what_was_no_trouble_is_not_over(caplog: pytest.LogCaptureFixture) -> None:
    told = Trouble()
    told.over("claims")
    assert said(caplog) == []


def test_trouble_that_comes_again_soon_is_told_when_it_lasts(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    told = Trouble()
    told.met("claims", AWAY)
    told.over("claims")
    for _ in range(100):
        clock.at += 0.1
        told.met("claims", AWAY)
        told.over("claims")
    assert said(caplog) == ["trouble", "over"]
    told.met("claims", AWAY)
    clock.at += LASTING_SECONDS
    told.met("claims", AWAY)
    told.over("claims")
    assert said(caplog) == ["trouble", "over"] * 2


def test_trouble_that_comes_again_later_is_told_at_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    told = Trouble()
    for _ in range(2):
        told.met("claims", AWAY)
        told.over("claims")
        clock.at += QUIET_SECONDS
    assert said(caplog) == ["trouble", "over"] * 2


def test_it_is_known_how_long_ago_trouble_was(clock: Clock) -> None:
    told = Trouble()
    assert not told.was_within(1e9)
    told.met("claims", AWAY)
    told.over("claims")
    clock.at += 10
    assert told.was_within(10)
    assert not told.was_within(9)


@pytest.mark.parametrize(
    ("error", "does"),
    [
        (AWAY, True),
        (psycopg.InterfaceError("closed"), True),
        (errors.DiskFull(), True),
        (errors.DeadlockDetected(), True),
        (errors.ReadOnlySqlTransaction(), True),
        (errors.QueryCanceled(), True),
        (errors.TooManyConnections(), True),
        (errors.IoError(), True),
        (TimeoutError(), True),
        (ConnectionRefusedError(), True),
        (errors.UniqueViolation(), False),
        (errors.UndefinedTable(), False),
        (psycopg.DataError("a NUL"), False),
        (ValueError("of the code"), False),
    ],
)
def test_what_passes(error: Exception, *, does: bool) -> None:
    assert passes(error) is does
