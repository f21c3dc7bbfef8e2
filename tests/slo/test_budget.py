"""Windows, budgets and forecasts."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.domain import DAY, HOUR, SECOND
from tidegauge.openslo import Window
from tidegauge.slo.budget import Day, budget_used, days_left, every_day, span
from tidegauge.slo.rates import UNKNOWN, Estimate


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def calendar(count: int, unit: str, start: str = "2026-01-01 00:00:00", zone: str = "UTC") -> Window:
    return Window(count=count, unit=unit, rolling=False, start=start, zone=zone)


def test_a_rolling_window_ends_now() -> None:
    now = at("2026-03-29T12:00:00")
    assert span(Window(), now) == (now - 28 * DAY, now, 1.0)


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [
        (calendar(1, "M"), "2026-03-01T00:00:00", "2026-04-01T00:00:00"),
        (calendar(1, "Q"), "2026-01-01T00:00:00", "2026-04-01T00:00:00"),
        (calendar(1, "Y", "2025-07-01 00:00:00"), "2025-07-01T00:00:00", "2026-07-01T00:00:00"),
        (calendar(1, "w", "2026-01-05 00:00:00"), "2026-03-23T00:00:00", "2026-03-30T00:00:00"),
        (calendar(1, "M", "2026-01-31 00:00:00"), "2026-02-28T00:00:00", "2026-03-31T00:00:00"),
        # The clocks go forward in that night, so the month is an hour short.
        (calendar(1, "M", zone="Europe/Berlin"), "2026-02-28T23:00:00", "2026-03-31T22:00:00"),
    ],
)
def test_calendar_windows(window: Window, start: str, end: str) -> None:
    found = span(window, at("2026-03-29T12:00:00"))
    assert (found.start, found.end) == (at(start), at(end))
    assert found.passed == pytest.approx((at("2026-03-29T12:00:00") - at(start)) / (at(end) - at(start)))


@settings(max_examples=300)
@given(st.integers(0, 80 * 365), st.sampled_from(["d", "w", "M", "Q", "Y"]), st.integers(1, 5))
def test_every_moment_is_in_exactly_one_period(days: int, unit: str, count: int) -> None:
    window, now = calendar(count, unit, "2020-01-31 02:30:00", "America/New_York"), days * DAY + 5 * HOUR
    found = span(window, now)
    assert found.start <= now < found.end
    assert span(window, found.end - SECOND)[:2] == found[:2]
    assert span(window, found.end).start == found.end


def test_what_is_used() -> None:
    assert budget_used(Estimate(0.03, 0.015, 0.06), 0.03) == (1.0, 0.5, 2.0)
    assert budget_used(Estimate(0.03, 0.015, 0.06), 0.03, passed=0.25).est == 0.25
    assert budget_used(UNKNOWN, 0.03) == (None, 0.0, None)


def test_a_budget_that_lasts_is_not_forecast_to_end() -> None:
    assert days_left([Day(100, 1)] * 28, 0.03, Window()) is None
    assert days_left([], 0.03, Window()) is None


def test_a_rolling_budget_ends_when_bad_days_have_replaced_good_ones() -> None:
    # 840 are allowed and 560 bad; each day more replaces 10 bad ones by 50.
    days = [Day(1000, 10)] * 21 + [Day(1000, 50)] * 7
    assert 28 * 1000 * 0.03 - sum(d.bad for d in days) == 280
    assert days_left(days, 0.03, Window()) == 7


def test_a_budget_that_is_gone_is_gone_today() -> None:
    assert days_left([Day(1000, 40)] * 28, 0.03, Window()) == 0


def test_a_calendar_budget_is_for_the_whole_period() -> None:
    # Ten of thirty days: the month allows 900 bad ones, 500 are gone, 50 go a day.
    days = [Day(1000, 50)] * 10
    assert days_left(days, 0.03, calendar(30, "d"), passed=1 / 3) == 9
    assert days_left([Day(1000, 29)] * 10, 0.03, calendar(30, "d"), passed=1 / 3) is None


def test_days_without_requests_are_days_of_the_pace() -> None:
    busy = {day: Day(1000, 10 if day < 10 else 50) for day in range(17)}
    assert days_left(every_day(busy, 17 * DAY), 0.03, Window()) == 3
    # Traffic ended a week ago: the rate is too high only once three good days have left the window.
    assert days_left(every_day(busy, 24 * DAY), 0.03, Window()) == 7
    assert every_day({3: Day(1, 0)}, 5 * DAY) == [Day(1, 0), Day(0, 0)]
    assert every_day({3: Day(1, 0)}, 3 * DAY) == [Day(1, 0)]  # a request at midnight begins its day
    assert every_day({}, DAY) == []


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1)), min_size=1, max_size=40), st.floats(0.001, 0.5))
def test_a_forecast_is_within_its_window(parts: list[tuple[int, float]], allowed: float) -> None:
    days = [Day(n, n * share) for n, share in parts]
    found = days_left(days, allowed, Window())
    assert found is None or 0 <= found <= 28
    kept = days[-28:]
    assert (found == 0) == (sum(d.bad for d in kept) >= allowed * sum(d.requests for d in kept))
