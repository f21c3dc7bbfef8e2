"""Error budgets: the window that one is for, how much of it is used, and when it will be gone.

Reference: Beyer et al., *The Site Reliability Workbook*, chapters 2 and 5.
"""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tidegauge.domain import DAY, SECOND, Micros
from tidegauge.openslo import Window
from tidegauge.slo.rates import Estimate

PACE_DAYS = 7
"""Days that a forecast goes on from."""

_MONTHS = {"M": 1, "Q": 3, "Y": 12}


class Day(NamedTuple):
    """One event day of an intent: requests, and how many of them were bad, as far as one knows."""

    requests: float
    bad: float


class Span(NamedTuple):
    """A window in event time, [start, end), and how much of it has passed."""

    start: Micros
    end: Micros
    passed: float


class Used(NamedTuple):
    """Shares of the budget, 1 being all of it; `est` is None while the rate is unknown."""

    est: float | None
    lo: float
    hi: float | None


def span(window: Window, now: Micros) -> Span:
    """The window at an event time; a rolling one always ends now, a calendar one with its period."""
    if window.rolling:
        length = round(window.days * DAY)
        return Span(now - length, now, 1.0)
    origin = datetime.fromisoformat(window.start).replace(tzinfo=ZoneInfo(window.zone))
    number = _period(window, origin, now)
    start, end = (_begin(window, origin, n) for n in (number, number + 1))
    return Span(start, end, max((now - start) / (end - start), 1e-6))


def _period(window: Window, origin: datetime, now: Micros) -> int:
    """Number of the period that holds a moment: a guess from mean lengths, put right."""
    number = int((now - _micros(origin)) // (window.days * DAY))
    while _begin(window, origin, number) > now:
        number -= 1
    while _begin(window, origin, number + 1) <= now:
        number += 1
    return number


def _begin(window: Window, origin: datetime, number: int) -> Micros:
    """When a period begins. Steps are in local time; a day of the month that there is not becomes the last one."""
    steps = number * window.count
    if window.unit not in _MONTHS:
        return _micros(origin + timedelta(days=steps * (7 if window.unit == "w" else 1)))
    months = origin.year * 12 + origin.month - 1 + steps * _MONTHS[window.unit]
    year, month = divmod(months, 12)
    day = min(origin.day, monthrange(year, month + 1)[1])
    return _micros(origin.replace(year=year, month=month + 1, day=day))


def _micros(moment: datetime) -> Micros:
    return round(moment.timestamp()) * SECOND


def budget_used(rate: Estimate, allowed: float, passed: float = 1.0) -> Used:
    """What a rate over the window so far has used up: sum N_b theta_b / (theta0 N).

    `passed` is the share of a calendar period that is over: N is what the period will have at this pace.
    """
    scale = passed / allowed
    if rate.est is None:
        return Used(None, 0.0, None)
    return Used(rate.est * scale, rate.lo * scale, rate.hi * scale)


def every_day(days: Mapping[int, Day], now: Micros) -> list[Day]:
    """Days by their number in order, up to now, those without requests included: nothing goes on from a busy past."""
    last = max([*days, (now - 1) // DAY]) if days else 0
    return [days.get(day, Day(0, 0)) for day in range(min(days), last + 1)] if days else []


def days_left(days: Sequence[Day], allowed: float, window: Window, passed: float = 1.0) -> int | None:
    """In how many days the budget is used up if the last week goes on; 0 if it is, None if not within the window.

    `days` are all of the window since the first one with requests, the oldest first.
    """
    if not days or sum(day.requests for day in days) <= 0:
        return None
    recent = days[-PACE_DAYS:]
    pace = Day(sum(d.requests for d in recent) / len(recent), sum(d.bad for d in recent) / len(recent))
    if not window.rolling:
        return _days_left_of_period(days, pace, allowed, window.days, passed)
    length = round(window.days)
    kept = list(days[-length:])
    for ahead in range(length + 1):
        requests = sum(d.requests for d in kept)
        if requests > 0 and sum(d.bad for d in kept) >= allowed * requests:
            return ahead
        kept = [*kept, pace][-length:]
    return None


def _days_left_of_period(days: Sequence[Day], pace: Day, allowed: float, length: float, passed: float) -> int | None:
    budget = allowed * sum(d.requests for d in days) / passed
    left = budget - sum(d.bad for d in days)
    if left <= 0:
        return 0
    ahead = int(left / pace.bad) + 1 if pace.bad > 0 else None
    return ahead if ahead is not None and ahead <= length * (1 - passed) else None
