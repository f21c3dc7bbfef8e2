"""How long a rise stays unseen: simulated with the product's own rule, policy and surges.

Rates are given as multiples of the objective: from two thirds of it to 4/3, 2 and 10/3 of it, which is from 2 % to 4, 6
and 10 % at an objective of 3 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from tidegauge.slo.evidence import Rule
from tidegauge.slo.simulate import World, months
from tidegauge.slo.surge import bets_for

BASE = 2 / 3
RISES = (4 / 3, 2.0, 10 / 3)
USUAL = 2.0
"""The rise that delays are asked for."""

HORIZON = 30
"""Days that are simulated."""

_RUNS = 120
_ROUGH = 60
_SEED = 20_261
_MOST_STEPS = 9


@dataclass(frozen=True)
class Situation:
    """An intent as far as delays depend on it; amounts are per day of event time."""

    requests: float
    judged: float
    labels: float
    sensitivity: float = 0.75
    specificity: float = 0.95
    theta0: float = 0.03
    base: float | None = None
    """Rate before the rise; None: two thirds of the objective."""
    alpha: float = 0.001

    @property
    def rule(self) -> Rule:
        return Rule(self.theta0, self.alpha, bets=bets_for(self.labels / self.judged))

    @property
    def before(self) -> float:
        return BASE * self.theta0 if self.base is None else self.base

    def world(self, rise: float, days: int) -> World:
        """A release at which the rate goes from `before` to a multiple of the objective."""
        return World(
            rate=self.before,
            rate_later=min(rise * self.theta0, 1.0),
            days=days,
            judged_per_day=self.judged,
            labels_per_day=self.labels,
            sensitivity=self.sensitivity,
            specificity=self.specificity,
            warm_rate=self.before,
        )


@dataclass(frozen=True)
class Delay:
    """From a bad release until its rollback. Infinite where fewer runs than that ended within the horizon."""

    rate: float
    median_judged: float
    median_days: float
    late_days: float
    """Nine of ten runs were rolled back by then."""
    seen: float
    """Share of the runs that were rolled back within the horizon."""
    days: tuple[float, ...] = ()
    """Of every run, sorted."""


@dataclass(frozen=True)
class Needed:
    """The least labels a day, and the judged items a day that they take."""

    labels: float
    judged: float


def delay(situation: Situation, rise: float, *, days: int = HORIZON, runs: int = _RUNS) -> Delay:
    """Simulates one rise to `rise` times the objective."""
    world = situation.world(rise, days)
    judged = np.sort(months(world, situation.rule, runs, _SEED, until_all=True).judged)
    took = judged / situation.judged
    return Delay(
        rate=rise * situation.theta0,
        median_judged=_quantile(judged, 0.5),
        median_days=_quantile(took, 0.5),
        late_days=_quantile(took, 0.9),
        seen=float(np.mean(np.isfinite(judged))),
        days=tuple(took.tolist()),
    )


def needed(situation: Situation, within: float, rise: float = USUAL) -> Needed | None:
    """What half of the rises need to be rolled back within some days; None where not even labelling everything would
    do. More items are judged only where the present ones do not suffice."""
    judged = situation.judged
    while not _in_time(replace(situation, judged=judged, labels=judged), within, rise):
        if judged >= situation.requests:
            return None
        judged = min(2 * judged, situation.requests)
    low, high = 0.0, judged
    for _ in range(_MOST_STEPS):
        middle = (low + high) / 2 if low else high / 4
        if _in_time(replace(situation, judged=judged, labels=middle), within, rise):
            high = middle
        elif low == 0.0 and middle < 1:
            break
        else:
            low = middle
        if low and high / low < 1.1:
            break
    return Needed(high, judged)


def _in_time(situation: Situation, within: float, rise: float) -> bool:
    days = max(1, int(np.ceil(within)))
    return delay(situation, rise, days=days, runs=_ROUGH).median_days <= within


def false_alarms(alpha: float, deployments: float, days: float = 28) -> float:
    """Bound on the expected false rollbacks of an intent within some days in which so many deployments began.

    Each has at most alpha * (1/2 + T / 56 days) until its age T.
    """
    return alpha * (deployments / 2 + days / 56)


def allot(requests: Mapping[str, float], rate: float, minimum: float) -> dict[str, float]:
    """Sampling rates by intent, `rate` in all, with at least `minimum` samples a day each, or everything where there is
    less. What remains goes to all alike. Minimums that do not fit into the total are cut down alike."""
    busy = {intent: count for intent, count in requests.items() if count > 0}
    total = min(rate, 1.0) * sum(busy.values())
    least = {intent: min(minimum, count) for intent, count in busy.items()}
    wanted = sum(least.values())
    if wanted >= total:
        return {intent: least[intent] / busy[intent] * total / wanted if wanted else 0.0 for intent in busy}
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        spent = sum(max(least[intent], middle * count) for intent, count in busy.items())
        low, high = (middle, high) if spent < total else (low, middle)
    return {intent: min(max(least[intent] / count, low), 1.0) for intent, count in busy.items()}


def _quantile(values: "Sequence[float] | np.ndarray[tuple[int, ...], np.dtype[np.float64]]", share: float) -> float:
    """The smallest value that this share of them does not exceed; the values are sorted."""
    if not len(values):
        return inf
    return float(values[min(int(np.ceil(share * len(values))) - 1, len(values) - 1)])
