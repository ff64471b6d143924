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


def test_at_first_a_process_judges_nobody_by_his_silence(clock: Clock) -> None:
    lease = Lease(LENGTH, BLOCKED, INTERVAL)
    found = []
    for beat in range(1, 5):
        beats(lease, clock, 100 + beat * INTERVAL)
        found.append(lease.patience)
    assert found[0] == found[1] > 365 * 24 * 3600
    assert found[2:] == [0, 0]


def test_a_process_that_couldnt_beat_is_as_patient_with_others(clock: Clock) -> None:
    """Before its first heartbeat after the trouble, and for three from then on."""
    lease = Lease(LENGTH, BLOCKED, INTERVAL)
    for beat in range(1, 10):
        beats(lease, clock, 100 + beat * INTERVAL)
    clock.at = 118 + 20
    assert lease.patience == 20 - INTERVAL
    found = []
    for beat in range(5):
        beats(lease, clock, 138 + beat * INTERVAL)
        found.append(lease.patience)
    assert found == [18, 18, 18, 0, 0]


def test_a_slow_machine_makes_for_some_patience(clock: Clock) -> None:
    lease = Lease(LENGTH, BLOCKED, INTERVAL)
    for beat in range(1, 10):
        beats(lease, clock, 100 + beat * (INTERVAL + 1.5))
    assert lease.patience == 1.5
