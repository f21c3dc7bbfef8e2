"""Indicators that are counted over all requests, from the five-minute rollups: nothing is sampled, nothing estimated.

Bad are: `error_rate` errors and timeouts; `fallback_share` answers of the fallback tier; `task_success` a request that
failed, fell back, or got a thumb down; `latency` a request slower than the threshold. A request that both failed and
got a thumb down is in one rollup row with others and counts twice, so task success errs on the side of too low.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tidegauge.domain import DAY, HOUR, Micros
from tidegauge.openslo import Slo
from tidegauge.service.budget import Budget, Burning, Segment
from tidegauge.slo import UNKNOWN, Estimate
from tidegauge.slo.budget import PACE_DAYS, Day, Used, budget_used, days_left, every_day, span
from tidegauge.slo.burn import Counts, counted_burns
from tidegauge.storage.histogram import GAMMA, unpack
from tidegauge.storage.store import Row, Transaction

_BUCKETS_AN_HOUR = 12
_HOURS_A_DAY = DAY // HOUR
_SHORTEST = 12  # the short look-back is a twelfth of the long one
LOOK_BACKS = (1, 2, 6, 24, 72)
"""Hours."""
CALM = 0.9
"""An alarm closes once the look-back burns less than this share of its level."""


class Hour(NamedTuple):
    hour: int
    segment: Segment
    requests: int
    bad: int


Rollups = Mapping[str, list[Row]]
"""Rows of `counted_hours` by intent."""


def newest(tx: Transaction) -> Micros | None:
    """End of the newest five minutes with traffic of any tier."""
    bucket = tx.value("newest_bucket")
    return None if bucket is None else (int(bucket) + 1) * HOUR // _BUCKETS_AN_HOUR


def rollups(tx: Transaction, slos: Iterable[Slo], now: Micros) -> Rollups:
    """What the windows of some objectives need."""
    since = min((span(slo.window, now).start for slo in slos), default=now)
    found: dict[str, list[Row]] = defaultdict(list)
    for row in tx.rows("counted_hours", since=since // HOUR * _BUCKETS_AN_HOUR, width=_BUCKETS_AN_HOUR):
        found[row["intent"]].append(row)
    return found


def hours(tx: Transaction, slo: Slo, counted: Rollups, now: Micros, *, keep: bool) -> list[Hour]:
    """Requests and bad ones of every hour of the window, by segment. `keep`: what is counted may be written."""
    first = -(-span(slo.window, now).start // HOUR)
    rows = [row for row in counted.get(slo.intent, ()) if row["hour"] >= first]
    if slo.indicator == "latency":
        return _slow_hours(tx, slo, rows, keep)
    return [Hour(int(r["hour"]), (r["cohort"], r["experiment"]), int(r["requests"]), _bad(slo, r)) for r in rows]


def _bad(slo: Slo, row: Row) -> int:
    if slo.indicator == "error_rate":
        return int(row["failed"])
    if slo.indicator == "fallback_share":
        return int(row["fallbacks"])
    own = int(row["requests"]) - int(row["fallbacks"])
    failed = int(row["failed"] - row["fallbacks_failed"]) + int(row["disliked"] - row["fallbacks_disliked"])
    return int(row["fallbacks"]) + min(failed, own)


def _slow_hours(tx: Transaction, slo: Slo, rows: list[Row], keep: bool) -> list[Hour]:
    threshold = float(slo.threshold_ms or 0)
    place = {"intent": slo.intent, "threshold_ms": threshold}
    wanted = {(int(r["hour"]), r["cohort"], r["experiment"]): int(r["requests"]) for r in rows}
    if not wanted:
        return []
    first = min(key[0] for key in wanted)
    known = {(int(r["hour"]), r["cohort"], r["experiment"]): r for r in tx.rows("latency_hours", **place, since=first)}
    counted = {key: (int(r["requests"]), int(r["measured"]), int(r["slow"])) for key, r in known.items()}
    missing = [key for key, requests in wanted.items() if counted.get(key, (-1,))[0] != requests]
    if missing:
        fresh = _count_slow(tx, slo.intent, threshold, missing)
        counted |= {key: (wanted[key], *fresh.get(key, (0, 0))) for key in missing}
        if keep:
            tx.many("keep_latency_hour", [_kept(place, key, counted[key]) for key in sorted(missing)])
    return [Hour(key[0], key[1:], counted[key][1], counted[key][2]) for key in sorted(wanted)]


def _kept(place: Mapping[str, object], key: tuple[int, str, str], counts: tuple[int, int, int]) -> Row:
    names = dict(zip(("hour", "cohort", "experiment"), key, strict=True))
    return {**place, **names, **dict(zip(("requests", "measured", "slow"), counts, strict=True))}


def _count_slow(
    tx: Transaction, intent: str, threshold: float, keys: list[tuple[int, str, str]]
) -> dict[tuple[int, str, str], tuple[int, int]]:
    """Measured requests, and those above the threshold within the histogram's 1 %."""
    found: dict[tuple[int, str, str], tuple[int, int]] = {}
    first, last = min(key[0] for key in keys), max(key[0] for key in keys)
    buckets = {"first": first * _BUCKETS_AN_HOUR, "last": last * _BUCKETS_AN_HOUR + _BUCKETS_AN_HOUR - 1}
    wanted = set(keys)
    for row in tx.stream("latencies", intent=intent, **buckets):
        key = (int(row["hour"]), row["cohort"], row["experiment"])
        if key in wanted:
            table = unpack(row["latency"])
            # A bucket's value, as quantiles are read, is the middle of its bounds.
            values = 2.0 * GAMMA ** table[:, 0].astype(float) / (GAMMA + 1)
            above = values > threshold
            measured, slow = found.get(key, (0, 0))
            found[key] = (measured + int(table[:, 1].sum()), slow + int(table[above, 1].sum()))
    return found


def counted_budget(slo: Slo, series: Iterable[Hour], now: Micros) -> Budget:
    """The budget of production: all segments without an experiment."""
    period = span(slo.window, now)
    production = [hour for hour in series if not hour.segment[1]]
    total = _sum(production)
    rate = exact(total)
    days: dict[int, Day] = {}
    for one in production:
        day = days.get(one.hour // _HOURS_A_DAY, Day(0, 0))
        days[one.hour // _HOURS_A_DAY] = Day(day.requests + one.requests, day.bad + one.bad)
    recent = _since(production, now, PACE_DAYS * _HOURS_A_DAY)
    return Budget(
        indicator=slo.indicator,
        intent=slo.intent,
        allowed=slo.allowed,
        window=slo.window.text,
        requests=total.requests,
        rate=rate,
        used=budget_used(rate, slo.allowed, period.passed),
        burn_rate=recent.rate / slo.allowed if recent.requests else None,
        days_left=days_left(every_day(days, now), slo.allowed, slo.window, period.passed),
        as_of=now,
        burning=tuple(_burning(slo, production, now)),
        recent={hours: part.rate for hours in LOOK_BACKS if (part := _since(production, now, hours)).requests},
    )


def short_rates(tx: Transaction, slos: Iterable[Slo], now: Micros) -> dict[tuple[str, str, int], float]:
    """Rates of production by indicator, intent and minutes: 5 and 30. Latency is read by the hour only."""
    newest = (now - 1) * _BUCKETS_AN_HOUR // HOUR
    found: dict[tuple[str, str, int], float] = {}
    rows = [row for row in tx.rows("counted_hours", since=newest - 5, width=1) if not row["experiment"]]
    for slo in slos:
        for buckets in (1, 6):
            part = [r for r in rows if r["intent"] == slo.intent and r["hour"] > newest - buckets]
            requests = sum(int(row["requests"]) for row in part)
            if requests and slo.indicator != "latency":
                found[slo.indicator, slo.intent, 5 * buckets] = sum(_bad(slo, row) for row in part) / requests
    return found


def _burning(slo: Slo, production: list[Hour], now: Micros) -> Iterable[Burning]:
    for level in slo.levels:
        long = _since(production, now, level.hours)
        short = _since(production, now, max(level.hours / _SHORTEST, 1))
        burnt = long.rate / slo.allowed if long.requests else None
        yield Burning(
            burn=level.burn,
            hours=level.hours,
            severity=level.severity,
            rate=burnt,
            proven=counted_burns(long, short, slo.allowed, level.burn),
            calm=burnt is None or burnt < CALM * level.burn,
        )


def segment_rates(slo: Slo, series: Iterable[Hour], passed: float = 1.0) -> list[tuple[Segment, int, Estimate, Used]]:
    """Requests, rate and budget of every cohort and experiment."""
    found: dict[Segment, list[Hour]] = defaultdict(list)
    for hour in series:
        found[hour.segment].append(hour)
    return [
        (segment, _sum(part).requests, exact(_sum(part)), budget_used(exact(_sum(part)), slo.allowed, passed))
        for segment, part in sorted(found.items())
    ]


def exact(counts: Counts) -> Estimate:
    """A rate that is counted needs no interval; unknown without requests."""
    return Estimate(counts.rate, counts.rate, counts.rate) if counts.requests else UNKNOWN


def _sum(series: Iterable[Hour]) -> Counts:
    found = list(series)
    return Counts(sum(hour.requests for hour in found), sum(hour.bad for hour in found))


def _since(series: Iterable[Hour], now: Micros, length: float) -> Counts:
    first = (now - 1) // HOUR - max(round(length), 1) + 1
    return _sum(hour for hour in series if hour.hour >= first)
