"""What a process may believe of its lease. Time is set."""

import pytest

from squid_mesh.runtime.lease import Lease

LENGTH, BLOCKED, INTERVAL = 10.0, 60.0, 2.0


class Clock:
    """The time of a lease."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(Lease, "now", staticmethod(clock))
    return clock


def beats(lease: Lease, clock: Clock, at: float, latency: float = 0.0) -> None:
    """A heartbeat sent at a moment, whose answer comes `latency` later, with the loop running."""
    clock.at = at
    lease.answered()
    clock.at += latency
    lease.renewed(at)


def test_a_claim_under_a_steady_lease(clock: Clock) -> None:
    lease = Lease(LENGTH, BLOCKED, INTERVAL)
    for beat in range(1, 50):
        beats(lease, clock, 100 + beat * INTERVAL, latency=0.1)
        assert lease.has_held_since(100)


def test_a_lease_that_is_over(clock: Clock) -> None:
    lease = Lease(LENGTH, BLOCKED, INTERVAL)
    clock.at += LENGTH - 0.1
    lease.answered()
    assert lease.has_held_since(100)
    clock.at += 0.1
    assert not lease.has_held_since(100)
    assert not lease.has_held_since(clock.at)


def test_a_beat_after_a_gap_covers_only_what_is_claimed_later(clock: Clock) -> None:
    lease = Lease(LENGTH, BLOCKED, INTERVAL)
    beats(lease, clock, 110)
    assert not lease.has_held_since(105)
    assert not lease.has_held_since(109.9)
    assert lease.has_held_since(110)
    beats(lease, clock, 112)
    assert not lease.has_held_since(105)
    assert lease.has_held_since(110)


def test_a_beat_that_took_long_may_have_come_too_late(clock: Clock) -> None:
    lease = Lease(LENGTH, BLOCKED, INTERVAL)
    beats(lease, clock, 102, latency=8)
    assert not lease.has_held_since(101)
    assert lease.has_held_since(110)


def test_a_beat_counts_from_when_it_was_sent(clock: Clock) -> None:
    lease = Lease(LENGTH, BLOCKED, INTERVAL)
    beats(lease, clock, 101, latency=5)
    clock.at = 101 + LENGTH - 0.1
    lease.answered()
    assert lease.has_held_since(100)
    clock.at = 101 + LENGTH
    assert not lease.has_held_since(100)


def test_a_loop_that_was_blocked(clock: Clock) -> None:
    """Others see how old the loop's last answer was at the last beat: up to two beats ago."""
    lease = Lease(LENGTH, BLOCKED, INTERVAL)
    longest = BLOCKED - 2 * INTERVAL
    for beat in range(1, 40):
        clock.at = 100 + beat * INTERVAL
        lease.renewed(clock.at)
        assert lease.has_held_since(100) == (clock.at - 100 < longest)
    lease.answered()
    assert not lease.has_held_since(100)
    assert lease.has_held_since(clock.at)


def test_others_are_dead_as_soon_as_they_are_silent_while_the_database_is_there(
    clock: Clock,
) -> None:
    lease = Lease(LENGTH, BLOCKED, INTERVAL)
    for beat in range(1, 50):
        beats(lease, clock, 100 + beat * INTERVAL, latency=0.5)
        assert lease.patience == 0.0


def test_others_get_as_long_as_this_process_had_no_database(clock: Clock) -> None:
    lease = Lease(LENGTH, BLOCKED, INTERVAL)
    clock.at = 130
    assert lease.patience == 30
    beats(lease, clock, 130)
    for beat in range(1, 5):
        assert lease.patience == 30
        beats(lease, clock, 130 + beat * INTERVAL)
    beats(lease, clock, 130 + LENGTH)
    assert lease.patience == 0.0


def test_a_short_lease_has_no_gap_between_two_beats(clock: Clock) -> None:
    lease = Lease(2 * INTERVAL, BLOCKED, INTERVAL)
    for beat in range(1, 50):
        beats(lease, clock, 100 + beat * INTERVAL, latency=0.5)
        assert lease.patience == 0.0
