"""Which deployment a rollback goes back to."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Protocol

from tidegauge.domain import DAY, HOUR, TEST_BLOCK, Micros
from tidegauge.storage.sampling import FIVE_MINUTES
from tidegauge.storage.store import Transaction

SHARE_OF_TRAFFIC = 0.1
"""A deployment that never had this share of an intent's requests for an hour is nothing to go back to."""

_LOOK_BACK = 28 * DAY
_HOURS_A_BLOCK = TEST_BLOCK // HOUR
_HOURS_A_DAY = DAY // HOUR

Hours = Mapping[int, Mapping[str, int]]
"""Requests by deployment, by hour of event time."""


class Place(Protocol):
    """A deployment of an intent, and when it began."""

    @property
    def intent(self) -> str: ...
    @property
    def deployment(self) -> str: ...
    @property
    def first_at(self) -> Micros: ...


def last_good(tx: Transaction, key: Place) -> str | None:
    """Id of the newest earlier deployment that had a tenth of the intent for an hour and is not breached itself.

    Earlier is which began in earnest before. One that was only ever tried, as a canary or in an experiment, is no
    release to go back to, unless it led for a day.
    """
    hours, outside = _traffic(tx, key)
    tried = {row["deployment"] for row in tx.rows("canaries")}
    days: dict[int, Counter[str]] = defaultdict(Counter)
    newest: dict[str, int] = {}
    for hour, requests in sorted(hours.items()):
        days[hour // _HOURS_A_DAY].update(requests)
        newest |= dict.fromkeys(_with_share(requests), hour)
    began = _began(hours)
    breached = {row["deployment"] for row in tx.rows("breached_deployments", intent=key.intent)} | {key.deployment}
    limit = began.get(key.deployment, key.first_at // HOUR)
    led = {day.most_common(1)[0][0] for day in days.values()}
    releases = {name for name in newest if name in led or (outside[name] and name not in tried)}
    good = [name for name in releases - breached if began[name] < limit]
    return max(good, key=lambda name: (newest[name], began[name], name), default=None)


def _traffic(tx: Transaction, key: Place) -> tuple[Hours, Counter[str]]:
    """The last weeks before the deployment, and how many requests of each were outside of experiments.

    What lies behind the retention of the rollups is known by six hours, and not in which experiment it was.
    """
    began = tx.value("first_traffic_of", intent=key.intent, deployment=key.deployment) or key.first_at
    since = began - _LOOK_BACK
    hours: dict[int, Counter[str]] = defaultdict(Counter)
    outside: Counter[str] = Counter()
    for row in tx.rows("hourly_traffic", intent=key.intent, since=since // FIVE_MINUTES):
        hours[int(row["hour"])][row["deployment"]] += int(row["requests"])
        outside[row["deployment"]] += int(row["outside"])
    kept = min(hours, default=None)
    for row in tx.rows("traffic_blocks", intent=key.intent, since=since // TEST_BLOCK):
        hour = row["block"] * _HOURS_A_BLOCK
        if kept is None or hour + _HOURS_A_BLOCK <= kept:
            hours[hour][row["deployment"]] += int(row["requests"])
    return hours, outside


def _began(hours: Hours) -> dict[str, int]:
    """The hour in which each deployment began in earnest: with its share in the hour, and in the day that follows.

    A stray request is a tenth of a quiet hour, but not of a day. Where a deployment never had both, its share of an
    hour counts, else its first request.
    """
    earnest: dict[str, int] = {}
    shared: dict[str, int] = {}
    seen: dict[str, int] = {}
    for hour, requests in sorted(hours.items()):
        for name in requests:
            seen.setdefault(name, hour)
        for name in _with_share(requests) - earnest.keys():
            shared.setdefault(name, hour)
            day: Counter[str] = Counter()
            for later in range(hour, hour + _HOURS_A_DAY):
                day.update(hours.get(later, {}))
            if name in _with_share(day):
                earnest[name] = hour
    return seen | shared | earnest


def _with_share(requests: Mapping[str, int]) -> set[str]:
    total = sum(requests.values())
    return {name for name, count in requests.items() if count >= SHARE_OF_TRAFFIC * total}
