from fractions import Fraction
from math import inf, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squid_mesh.definition.durations import LONGEST
from squid_mesh.definition.spec import BackoffSpec, RetrySpec
from squid_mesh.engine.retry import Failed, GiveUp, RetryIn, backoff, decide, spread
from tests.conformance import conforms

TEN_YEARS = LONGEST.total_seconds()
MANY = 10**9


def exact(max_attempts: int, backoff: BackoffSpec | None = None, *stop_on: str) -> RetrySpec:
    return RetrySpec(max_attempts, backoff, jitter=False, stop_on=stop_on)


def delay(policy: RetrySpec, attempt: int = 1, *, jitter: float) -> float:
    decision = decide(policy, attempt, Failed(), jitter=jitter)
    assert isinstance(decision, RetryIn)
    return decision.delay


# whether


@conforms("S99")
@pytest.mark.parametrize("attempt", [1, 2, MANY])
def test_without_a_policy_nothing_is_tried_again(attempt: int) -> None:
    assert decide(None, attempt, Failed(), jitter=0.5) == GiveUp()


@conforms("S99")
@pytest.mark.parametrize("max_attempts", [1, 2, 3, 10])
def test_max_attempts_counts_the_first_try(max_attempts: int) -> None:
    policy = exact(max_attempts)
    for attempt in range(1, max_attempts):
        assert decide(policy, attempt, Failed(), jitter=0.5) == RetryIn(attempt + 1, 0.0)
    for attempt in (max_attempts, max_attempts + 1, MANY):
        assert decide(policy, attempt, Failed(), jitter=0.5) == GiveUp()


@conforms("S105")
def test_a_failure_that_is_not_retryable_uses_no_further_attempt() -> None:
    assert decide(exact(3), 1, Failed(retryable=False), jitter=0.5) == GiveUp()


@conforms("S105")
@pytest.mark.parametrize(
    ("kinds", "stops"),
    [
        (("httpx:HTTPStatusError",), True),
        (("tests:Own", "httpx:HTTPStatusError", "builtins:Exception"), True),
        (("builtins:KeyError", "builtins:LookupError"), True),
        (("httpx:ReadTimeout", "httpx:TimeoutException"), False),
        (("HTTPStatusError",), False),
        ((), False),
    ],
)
def test_a_class_in_stop_on_or_one_that_extends_it_is_not_tried_again(
    kinds: tuple[str, ...], *, stops: bool
) -> None:
    policy = exact(3, None, "httpx:HTTPStatusError", "builtins:LookupError")
    assert decide(policy, 1, Failed(kinds), jitter=0.5) == (GiveUp() if stops else RetryIn(2, 0.0))


# when


@conforms("S99", "S100")
def test_the_example_of_the_original_waits_1_2_4_and_5_seconds_and_then_gives_up() -> None:
    policy = exact(5, BackoffSpec(1.0, 5.0))
    decisions = [decide(policy, attempt, Failed(), jitter=0.5) for attempt in range(1, 6)]
    assert decisions == [
        RetryIn(2, 1.0),
        RetryIn(3, 2.0),
        RetryIn(4, 4.0),
        RetryIn(5, 5.0),
        GiveUp(),
    ]


@conforms("S100")
def test_without_a_backoff_the_next_attempt_follows_at_once() -> None:
    assert backoff(None, 7) == 0.0
    assert delay(RetrySpec(3), jitter=0.0) == 0.0


def test_the_same_minimum_and_maximum_wait_the_same_every_time() -> None:
    assert {backoff(BackoffSpec(3.0, 3.0), n) for n in (1, 2, 50, MANY)} == {3.0}


@conforms("S100")
@given(
    least=st.integers(1, 10**9),
    more=st.integers(0, 10**12),
    attempt=st.integers(1, 200) | st.just(MANY),
)
def test_a_delay_is_the_minimum_doubled_with_each_failure_up_to_the_maximum(
    least: int, more: int, attempt: int
) -> None:
    """In whole seconds and below 2**53, where a float is exact and a fraction its judge."""
    most = least + more
    expected = min(Fraction(least) * 2 ** min(attempt - 1, 100), Fraction(most))
    assert Fraction(backoff(BackoffSpec(float(least), float(most)), attempt)) == expected


def test_the_smallest_minimum_there_is_has_reached_ten_years_before_doubling_stops() -> None:
    microsecond = BackoffSpec(1e-6, 10 * TEN_YEARS)
    assert backoff(microsecond, 40) == 1e-6 * 2**39
    assert backoff(microsecond, 65) > TEN_YEARS
    assert delay(exact(MANY, microsecond), 64, jitter=0.5) == TEN_YEARS


@pytest.mark.parametrize("attempt", [1024, 1025, 2000, MANY - 1])
def test_a_huge_attempt_number_overflows_no_float(attempt: int) -> None:
    assert backoff(BackoffSpec(1.0, 60.0), attempt) == 60.0
    assert decide(exact(MANY), attempt, Failed(), jitter=0.5) == RetryIn(attempt + 1, 0.0)


# jitter


@pytest.mark.parametrize(
    ("jitter", "expected"), [(0.0, 75.0), (0.25, 87.5), (0.5, 100.0), (0.75, 112.5), (1.0, 125.0)]
)
def test_jitter_spreads_evenly_from_three_quarters_to_five(jitter: float, expected: float) -> None:
    assert spread(100.0, jitter) == expected


@given(seconds=st.floats(0, 1e9), jitter=st.floats(0, 1, exclude_max=True))
def test_a_spread_delay_is_off_by_a_quarter_at_most_and_the_same_for_the_same_number(
    seconds: float, jitter: float
) -> None:
    found = spread(seconds, jitter)
    assert nextafter(0.75 * seconds, -inf) <= found <= nextafter(1.25 * seconds, inf)
    assert found == spread(seconds, jitter)


def test_a_policy_spreads_its_backoff_unless_it_says_not_to() -> None:
    backoff = BackoffSpec(8.0, 60.0)
    assert delay(RetrySpec(3, backoff), jitter=0.0) == 6.0
    assert delay(RetrySpec(3, backoff), 2, jitter=0.75) == 18.0
    assert delay(RetrySpec(3, backoff, jitter=False), jitter=0.0) == 8.0


# what RetryLater asks for


@pytest.mark.parametrize("backoff", [None, BackoffSpec(1.0, 5.0)])
@pytest.mark.parametrize("after", [0.0, 0.25, 90.0])
def test_retry_later_is_taken_at_its_word_and_not_spread(
    after: float, backoff: BackoffSpec | None
) -> None:
    decision = decide(RetrySpec(3, backoff), 1, Failed(after=after), jitter=0.9)
    assert decision == RetryIn(2, after)


def test_retry_later_uses_up_an_attempt_like_any_failure() -> None:
    assert decide(exact(3), 2, Failed(after=9.0), jitter=0.5) == RetryIn(3, 9.0)
    assert decide(exact(3), 3, Failed(after=9.0), jitter=0.5) == GiveUp()
    assert decide(None, 1, Failed(after=9.0), jitter=0.5) == GiveUp()


def test_retry_later_does_not_go_before_stop_on() -> None:
    policy = exact(3, None, "squid_mesh.errors:RetryLater")
    failed = Failed(("squid_mesh.errors:RetryLater",), after=9.0)
    assert decide(policy, 1, failed, jitter=0.5) == GiveUp()


# bounds


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (-1.0, 0.0),
        (-inf, 0.0),
        (TEN_YEARS, TEN_YEARS),
        (TEN_YEARS + 1, TEN_YEARS),
        (inf, TEN_YEARS),
    ],
)
def test_retry_later_waits_between_no_time_and_ten_years(after: float, expected: float) -> None:
    assert decide(exact(3), 1, Failed(after=after), jitter=0.5) == RetryIn(2, expected)


@pytest.mark.parametrize("jitter", [0.0, 0.5, nextafter(1.0, 0.0)])
def test_no_backoff_is_longer_than_ten_years_also_when_it_is_stretched(jitter: float) -> None:
    endless = BackoffSpec(2 * TEN_YEARS, 4 * TEN_YEARS)
    assert delay(RetrySpec(9, endless), 3, jitter=jitter) == TEN_YEARS
    assert delay(exact(9, endless), jitter=jitter) == TEN_YEARS
