"""Months of production as numbers: a judge that errs, reviewers on a budget, labels that come late or never.

One rule, two forms: `month` is vectorised and looks at the evidence after every judged item; `replay` feeds the same
items to the public detector.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.slo import Rule, make_detector, terms_of
from tidegauge.slo.evidence import nothing
from tidegauge.slo.policy import DECAY, calibrated, review_probability, solve_k

Floats = NDArray[np.float64]
BLOCKS_A_DAY = 4
_LATER = 10**6


@dataclass(frozen=True)
class World:
    """One deployment of one intent. Rates are per item; `specificity_later` holds from the middle of the month on."""

    rate: float
    days: int = 30
    judged_per_day: int = 200
    labels_per_day: int = 20
    sensitivity: float = 0.75
    specificity: float = 0.95
    specificity_later: float | None = None
    warm_rate: float = 0.02
    warm_labels: int = 40
    delay_positive: int = 0
    delay_negative: int | None = 0
    """Blocks until a label comes; None: never."""


@dataclass
class Month:
    """Arrays of shape (items,), and what was found."""

    block: NDArray[np.int64]
    bin: NDArray[np.int64]
    y: NDArray[np.int64]
    f: Floats
    pi: Floats
    reviewed: NDArray[np.bool_]
    log_e: Floats = field(default_factory=lambda: np.empty(0))
    positives: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def rolled_back(self, rule: Rule) -> int | None:
        """Number of items judged until the rollback; None where there was none."""
        hits = np.flatnonzero((self.log_e >= rule.threshold) & (self.positives >= rule.min_positives))
        return int(hits[0]) + 1 if hits.size else None


class Calibration:
    """Forward-fitted f of the two bins (not flagged, flagged) and the policy over them, refreshed each block."""

    def __init__(self, world: World, theta0: float) -> None:
        p, se, sp = world.warm_rate, world.sensitivity, world.specificity
        hit = np.array([p * (1 - se) / (p * (1 - se) + (1 - p) * sp), p * se / (p * se + (1 - p) * (1 - sp))])
        self.theta0 = theta0
        self.labels = np.full(2, float(world.warm_labels))
        self.positives = hit * world.warm_labels
        flagged = p * se + (1 - p) * (1 - sp)
        self.seen = np.array([1 - flagged, flagged]) * world.judged_per_day
        self.r = min(1.0, world.labels_per_day / world.judged_per_day)

    def policy(self) -> tuple[Floats, Floats]:
        f = [calibrated(x, n, self.theta0) for x, n in zip(self.positives, self.labels, strict=True)]
        k = solve_k(f, list(self.seen / self.seen.sum()), self.r)
        return np.array(f), np.array([review_probability(k, value, self.r) for value in f])

    def learn(self, bins: NDArray[np.int64], came_bins: NDArray[np.int64], came_y: NDArray[np.int64]) -> None:
        self.seen = self.seen * DECAY + np.bincount(bins, minlength=2)
        self.labels = self.labels * DECAY + np.bincount(came_bins, minlength=2)
        self.positives = self.positives * DECAY + np.bincount(came_bins, weights=came_y, minlength=2)


def month(world: World, rule: Rule, rng: np.random.Generator) -> Month:
    """Simulates a month. Labels enter the evidence at once, which the process with late labels never exceeds; f is
    fitted on those that have come."""
    made = _items(world, rng)
    calibration = Calibration(world, rule.theta0)
    coin = rng.random(made.y.size)
    comes = np.where(
        made.y == 1, world.delay_positive, _LATER if world.delay_negative is None else world.delay_negative
    )
    came_at = made.block + comes
    for block in range(world.days * BLOCKS_A_DAY):
        f, pi = calibration.policy()
        now = slice(*np.searchsorted(made.block, (block, block + 1)))
        bins = made.bin[now]
        made.pi[now] = pi[bins]
        made.f[now] = np.minimum(f[bins], rule.b * pi[bins] / np.maximum(1 - pi[bins], 1e-12))
        made.reviewed[now] = coin[now] < pi[bins]
        came = made.reviewed[: now.stop] & (came_at[: now.stop] == block)
        calibration.learn(bins, made.bin[: now.stop][came], made.y[: now.stop][came])
    _look(made, rule)
    return made


def _items(world: World, rng: np.random.Generator) -> Month:
    n = world.days * world.judged_per_day
    y = (rng.random(n) < world.rate).astype(np.int64)
    specificity = np.full(n, world.specificity)
    if world.specificity_later is not None:
        specificity[n // 2 :] = world.specificity_later
    flagged = rng.random(n) < np.where(y == 1, world.sensitivity, 1 - specificity)
    block = np.arange(n) * BLOCKS_A_DAY // world.judged_per_day
    return Month(block, flagged.astype(np.int64), y, np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.bool_))


def _look(made: Month, rule: Rule) -> None:
    """The evidence after every item: within a block it is the block's start times the product of its factors."""
    z = np.where(made.reviewed, made.y / made.pi + made.f * (1 - 1 / made.pi), made.f)
    terms = terms_of(rule, z)
    made.log_e = np.empty(z.size)
    mixture = np.array(nothing(rule))
    for block in range(int(made.block[-1]) + 1):
        now = slice(*np.searchsorted(made.block, (block, block + 1)))
        start = np.logaddexp(mixture, rule.log_weight(block, 0))
        running = start + np.cumsum(terms[now], axis=0)
        made.log_e[now] = np.logaddexp.reduce(running, axis=1) - np.log(terms.shape[1])
        mixture = running[-1] if running.size else start
    made.positives = np.cumsum(made.reviewed * made.y)


def replay(made: Month, rule: Rule) -> Any:
    """The detector after the same items, all labels in."""
    detector = make_detector({"theta0": rule.theta0, "alpha": rule.alpha})
    for i in range(made.y.size):
        t = (made.block[i] + 0.5) / BLOCKS_A_DAY
        detector.judged(i, t, made.f[i], made.pi[i], bool(made.reviewed[i]), bin=int(made.bin[i]))
        if made.reviewed[i]:
            detector.label(i, int(made.y[i]))
    return detector


def false_rollbacks(world: World, rule: Rule, months: int, seed: int) -> int:
    streams = np.random.SeedSequence(seed).spawn(months)
    return sum(month(world, rule, np.random.default_rng(s)).rolled_back(rule) is not None for s in streams)


def median_delay(world: World, rule: Rule, runs: int, seed: int) -> float:
    """Median judged items until the rollback; infinite where half of the runs had none."""
    streams = np.random.SeedSequence(seed).spawn(runs)
    found = [month(world, rule, np.random.default_rng(s)).rolled_back(rule) for s in streams]
    return float(np.median([np.inf if n is None else n for n in found]))
