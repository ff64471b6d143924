from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from squid_mesh.engine.windows import ON_TIME, Due, Missed, due_windows, next_window

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ZONES = [
    "Etc/UTC",
    "Europe/Lisbon",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "America/St_Johns",  # at one minute past midnight, until 2011
    "Africa/Cairo",  # at midnight
    "Pacific/Apia",  # left out a day
    "Asia/Kathmandu",
]


def following(expression: str, timezone: str, after: datetime, count: int) -> list[datetime]:
    """So many windows, each asked for after the one before."""
    found: list[datetime] = []
    for _ in range(count):
        after = next_window(expression, timezone, after)
        found.append(after)
    return found


def shown(windows: list[datetime]) -> list[str]:
    return [window.strftime("%m-%d %H:%M %z") for window in windows]


# what an expression means


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 9 * * 1-5", "2026-01-02 09:00", "2026-01-05 09:00"),
        ("0 9 * * 1-5", "2026-01-05 08:59", "2026-01-05 09:00"),
        ("* * * * *", "2026-01-05 08:59", "2026-01-05 09:00"),
        ("*/15 * * * *", "2026-01-05 08:46", "2026-01-05 09:00"),
        ("0 0 29 2 *", "2026-01-01 00:00", "2028-02-29 00:00"),
        ("0 0 L * *", "2026-02-01 00:00", "2026-02-28 00:00"),
        ("0 0 * * MON", "2026-01-01 00:00", "2026-01-05 00:00"),
        ("0 0 * * 7", "2026-01-01 00:00", "2026-01-04 00:00"),
        # Day of month or day of week, when both are given; else the one that is.
        ("0 0 13 * 5", "2026-02-01 00:00", "2026-02-06 00:00"),
        ("0 0 13 * 5", "2026-02-07 00:00", "2026-02-13 00:00"),
        ("0 0 3 * 5", "2026-02-01 00:00", "2026-02-03 00:00"),
        ("0 0 * * 5", "2026-02-01 00:00", "2026-02-06 00:00"),
        ("0 0 13 * *", "2026-02-01 00:00", "2026-02-13 00:00"),
    ],
)
def test_the_next_window(expression: str, after: str, expected: str) -> None:
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    window = next_window(expression, "Etc/UTC", moment)
    assert window == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_a_window_is_in_its_zone_and_after_the_very_moment() -> None:
    moment = datetime(2026, 7, 1, 8, 0, 0, 1, tzinfo=UTC)
    window = next_window("0 9 * * *", "Europe/Lisbon", moment)
    assert (window, window.tzinfo) == (
        datetime(2026, 7, 2, 9, tzinfo=ZoneInfo("Europe/Lisbon")),
        ZoneInfo("Europe/Lisbon"),
    )
    before = next_window("0 9 * * *", "Europe/Lisbon", moment - timedelta(microseconds=2))
    assert before == datetime(2026, 7, 1, 8, tzinfo=UTC)


# when the clocks change

LISBON, NEW_YORK, LORD_HOWE = "Europe/Lisbon", "America/New_York", "Australia/Lord_Howe"


@pytest.mark.parametrize(
    ("expression", "timezone", "after", "expected"),
    [
        # Lisbon, 29 March: 01:00 is 02:00. A fixed time in the gap fires when it is over, once.
        ("30 1 * * *", LISBON, "2026-03-28 12:00", ["03-29 02:00 +0100", "03-30 01:30 +0100"]),
        ("0,30 1 * * *", LISBON, "2026-03-28 12:00", ["03-29 02:00 +0100", "03-30 01:00 +0100"]),
        ("0 1,2 * * *", LISBON, "2026-03-28 12:00", ["03-29 02:00 +0100", "03-30 01:00 +0100"]),
        ("*/30 1 * * *", LISBON, "2026-03-28 12:00", ["03-30 01:00 +0100", "03-30 01:30 +0100"]),
        ("30 * * * *", LISBON, "2026-03-29 00:00", ["03-29 00:30 +0000", "03-29 02:30 +0100"]),
        # Lisbon, 25 October: 02:00 is 01:00. A fixed time in the overlap fires once.
        ("30 1 * * *", LISBON, "2026-10-24 12:00", ["10-25 01:30 +0100", "10-26 01:30 +0000"]),
        ("30 1 * * *", LISBON, "2026-10-25 00:40", ["10-26 01:30 +0000", "10-27 01:30 +0000"]),
        ("30 1 * * *", LISBON, "2026-10-25 01:10", ["10-26 01:30 +0000", "10-27 01:30 +0000"]),
        (
            "*/30 1 * * *",
            LISBON,
            "2026-10-24 12:00",
            ["10-25 01:00 +0100", "10-25 01:30 +0100", "10-25 01:00 +0000", "10-25 01:30 +0000"],
        ),
        (
            "30 * * * *",
            LISBON,
            "2026-10-25 00:00",
            ["10-25 01:30 +0100", "10-25 01:30 +0000", "10-25 02:30 +0000"],
        ),
        # New York, 8 March: 02:00 is 03:00. 1 November: 02:00 is 01:00.
        ("15 2 * * *", NEW_YORK, "2026-03-08 00:00", ["03-08 03:00 -0400", "03-09 02:15 -0400"]),
        ("15 2 * * 0", NEW_YORK, "2026-03-08 00:00", ["03-08 03:00 -0400", "03-15 02:15 -0400"]),
        ("15 1 * * *", NEW_YORK, "2026-11-01 00:00", ["11-01 01:15 -0400", "11-02 01:15 -0500"]),
        (
            "15 */1 * * *",
            NEW_YORK,
            "2026-11-01 05:00",
            ["11-01 01:15 -0400", "11-01 01:15 -0500", "11-01 02:15 -0500"],
        ),
        # Lord Howe, 4 October: 02:00 is 02:30. 5 April: 02:00 is 01:30.
        ("15 2 * * *", LORD_HOWE, "2026-10-03 13:00", ["10-04 02:30 +1100", "10-05 02:15 +1100"]),
        ("0 * * * *", LORD_HOWE, "2026-10-03 14:00", ["10-04 01:00 +1030", "10-04 03:00 +1100"]),
        ("*/10 5 * * *", LORD_HOWE, "2026-10-03 13:00", ["10-04 05:00 +1100", "10-04 05:10 +1100"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04 13:00", ["04-05 01:45 +1100", "04-06 01:45 +1030"]),
        ("*/10 5 * * *", LORD_HOWE, "2026-04-04 13:00", ["04-05 05:00 +1030", "04-05 05:10 +1030"]),
        (
            "*/15 1 * * *",
            LORD_HOWE,
            "2026-04-04 14:20",
            ["04-05 01:30 +1100", "04-05 01:45 +1100", "04-05 01:30 +1030", "04-05 01:45 +1030"],
        ),
        # Apia had no 30 December 2011.
        (
            "0 9 * * *",
            "Pacific/Apia",
            "2011-12-29 00:00",
            ["12-29 09:00 -1000", "12-31 00:00 +1400", "12-31 09:00 +1400"],
        ),
    ],
)
def test_when_the_clocks_change(
    expression: str, timezone: str, after: str, expected: list[str]
) -> None:
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert shown(following(expression, timezone, moment, len(expected))) == expected


# what is always so

fields = st.tuples(
    st.sampled_from(["*", "0", "30", "*/7", "15,45", "59"]),
    st.sampled_from(["*", "0", "1", "2", "*/2", "1-3", "23", "0,12"]),
    st.sampled_from(["*", "*/2", "1", "29-31", "L"]),
    st.sampled_from(["*", "3", "10,11"]),
    st.sampled_from(["*", "0", "1-5", "SUN"]),
)
expressions = fields.map(" ".join)
everyday = st.tuples(
    st.sampled_from(["*", "0", "*/7", "15,45"]), st.sampled_from(["*", "1", "*/2", "23,0"])
).map(lambda pair: f"{pair[0]} {pair[1]} * * *")
zones = st.sampled_from(ZONES)
# Clocks change in each of these zones in 2007, when St. John's did so a minute past midnight.
moments = st.timedeltas(timedelta(0), timedelta(days=7 * 365)).map(
    lambda passed: datetime(2006, 1, 1, tzinfo=UTC) + passed
)


@given(expressions, zones, moments)
def test_windows_go_on(expression: str, timezone: str, after: datetime) -> None:
    """Compared in UTC: Python compares times of one zone by their clocks."""
    windows = [window.astimezone(UTC) for window in following(expression, timezone, after, 4)]
    assert all(one < other for one, other in pairwise([after, *windows]))
    assert all(window.second == window.microsecond == 0 for window in windows)


@given(everyday, zones, moments, st.integers(0, 200), st.integers(0, 200))
@example("*/7 * * * *", "America/St_Johns", datetime(2007, 11, 4, 1, 50, tzinfo=UTC), 5, 60)
def test_a_window_is_one_wherever_it_is_looked_for_from(
    expression: str, timezone: str, start: datetime, minutes: int, more: int
) -> None:
    """The next one after a moment is the first of all that is later."""
    middle = start + minutes * MINUTE
    end = middle + more * MINUTE
    windows = [start]
    while windows[-1] <= end:
        windows.append(next_window(expression, timezone, windows[-1]).astimezone(UTC))
    later = next(window for window in windows[1:] if window > middle)
    assert next_window(expression, timezone, middle).astimezone(UTC) == later


@given(zones, moments)
def test_every_minute_is_every_minute(timezone: str, after: datetime) -> None:
    windows = following("* * * * *", timezone, after, 5)
    begun = after.replace(second=0, microsecond=0)
    assert [w.astimezone(UTC) for w in windows] == [begun + n * MINUTE for n in range(1, 6)]


@given(zones, moments)
def test_a_fixed_time_comes_on_every_day_that_there_is(timezone: str, after: datetime) -> None:
    days = [window.date() for window in following("30 1 * * *", timezone, after, 3)]
    assert all(one < other for one, other in pairwise(days))
    assert days[-1] - days[0] <= 3 * DAY


# what is due

NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)
DAILY = "0 9 * * *"


def due(missed: Missed, late: timedelta, *, expression: str = DAILY, most: int = 100) -> Due:
    return due_windows(
        expression, "Etc/UTC", first=NINE, now=NINE + late, missed=missed, max_missed=most
    )


@pytest.mark.parametrize("missed", ["skip", "latest", "all"])
@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=1), ON_TIME])
def test_a_window_on_time_is_started(missed: Missed, late: timedelta) -> None:
    assert due(missed, late) == Due((NINE,), NINE + DAY)


@pytest.mark.parametrize("missed", ["skip", "latest", "all"])
def test_before_its_time_nothing_is_due(missed: Missed) -> None:
    assert due(missed, -timedelta(microseconds=1)) == Due((), NINE)


@pytest.mark.parametrize(
    ("missed", "late", "started"),
    [
        ("skip", ON_TIME + timedelta(microseconds=1), []),
        ("skip", 3 * DAY, [3]),
        ("skip", 3 * DAY + ON_TIME, [3]),
        ("skip", 3 * DAY + HOUR, []),
        ("latest", HOUR, [0]),
        ("latest", 3 * DAY + HOUR, [3]),
        ("latest", 400 * DAY, [400]),
        ("all", HOUR, [0]),
        ("all", 3 * DAY + HOUR, [0, 1, 2, 3]),
    ],
)
def test_missed_windows(missed: Missed, late: timedelta, started: list[int]) -> None:
    found = due(missed, late)
    assert found.start == tuple(NINE + number * DAY for number in started)
    assert found.next == NINE + (late // DAY + 1) * DAY


@pytest.mark.parametrize(("most", "started"), [(1, [9]), (2, [8, 9]), (10, [*range(10)])])
def test_of_too_many_the_latest_are_started(most: int, started: list[int]) -> None:
    found = due("all", 9 * DAY + HOUR, most=most)
    assert found.start == tuple(NINE + number * DAY for number in started)


def test_what_is_due_every_minute_after_a_year() -> None:
    found = due("all", 365 * DAY, expression="* * * * *", most=100)
    latest = NINE + 365 * DAY
    assert found.start == tuple(latest - n * MINUTE for n in reversed(range(100)))
    assert found.next == latest + MINUTE


def test_due_windows_are_in_their_zone() -> None:
    zone = ZoneInfo("Europe/Lisbon")
    first = next_window("0 9 * * *", zone.key, datetime(2026, 3, 28, tzinfo=UTC))
    found = due_windows(
        "0 9 * * *", zone.key, first=first, now=first + DAY, missed="all", max_missed=9
    )
    assert shown(list(found.start)) == ["03-28 09:00 +0000", "03-29 09:00 +0100"]
    assert all(window.tzinfo is zone for window in (*found.start, found.next))


@given(
    everyday,
    zones,
    moments,
    st.integers(0, 3 * 24 * 60),
    st.sampled_from(["skip", "latest", "all"]),
    st.integers(1, 5),
)
def test_what_is_due_is_the_end_of_what_passed(
    expression: str, timezone: str, after: datetime, minutes: int, missed: Missed, most: int
) -> None:
    first = next_window(expression, timezone, after).astimezone(UTC)
    now = first + minutes * MINUTE
    found = due_windows(expression, timezone, first=first, now=now, missed=missed, max_missed=most)
    passed = [first]
    while passed[-1] <= now:
        passed.append(next_window(expression, timezone, passed[-1]).astimezone(UTC))
    assert found.next.astimezone(UTC) == passed.pop()
    expected = passed[-most if missed == "all" else -1 :]
    if missed == "skip":
        expected = [window for window in expected if window >= now - ON_TIME]
    assert [window.astimezone(UTC) for window in found.start] == expected
