"""Months of production as numbers, many at once: the product's policy, surge and test under a judge that errs.

A step is a few items of one hour; with one item a step, which is what small traffic gets, the evidence is looked at
after every item. Labels come at once: late ones make the evidence smaller, never larger.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.slo import surge
from tidegauge.slo.evidence import Rule
from tidegauge.slo.loglinear import Floats
from tidegauge.slo.policy import AUDIT_SHARE, DECAY, PRIOR
from tidegauge.slo.rates import RateSums

HOURS = 24
_BLOCK_HOURS = 6
_STEPS = 12
_CATEGORIES = 6
"""Per bin: not reviewed; reviewed and good; reviewed and bad. Bin 0 is not flagged, bin 1 is."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    """One deployment of one intent. Its rate is `rate` until `changes_at` (in days), then `rate_later`.

    The calibration starts from `warm_labels` labels a bin, made at `warm_rate`.
    """

    rate: float
    rate_later: float | None = None
    changes_at: float = 0.0
    days: int = 30
    judged_per_day: float = 200
    labels_per_day: float = 20
    sensitivity: float = 0.75
    specificity: float = 0.95
    specificity_later: float | None = None
    """From the middle of the days on."""
    warm_rate: float = 0.02
    warm_labels: float = 40
    surging: bool = True

    @property
    def share(self) -> float:
        """Labels a day over items a day."""
        return self.labels_per_day / self.judged_per_day

    def rate_at(self, hour: int) -> float:
        later = self.rate_later is not None and hour >= self.changes_at * HOURS
        return float(self.rate_later) if later and self.rate_later is not None else self.rate

    def specificity_at(self, hour: int) -> float:
        late = self.specificity_later is not None and 2 * hour >= self.days * HOURS
        return float(self.specificity_later) if late and self.specificity_later is not None else self.specificity


class Months(NamedTuple):
    """What became of each run; shape (runs,)."""

    judged: Floats
    """Items from the change (or the beginning) until the rollback; infinite where there was none."""
    labels: Floats
    """Reviews asked for a day, over all days, rollback or not."""
    surged: Floats
    """Share of the hours in a surge."""
    rates: list[list[RateSums]]
    """Of each run, by bin."""
    early: Bools
    """Rolled back before the change."""

    @property
    def rolled_back(self) -> Bools:
        return np.isfinite(self.judged) | self.early

    @property
    def median(self) -> float:
        return float(np.median(self.judged[~self.early])) if (~self.early).any() else float("inf")


def months(world: World, rule: Rule, runs: int, seed: int, *, rates: bool = False, until_all: bool = False) -> Months:
    """Simulates `runs` months. `rates` keeps what intervals are made of; `until_all` ends once all are rolled back."""
    state = _State(world, rule, runs, np.random.default_rng(seed), rates)
    hours = 0
    while hours < world.days * HOURS and not (until_all and np.isfinite(state.judged_at).all()):
        state.hour(hours)
        hours += 1
    return state.result(hours)


class _State:
    """All runs at one hour."""

    def __init__(self, world: World, rule: Rule, runs: int, rng: np.random.Generator, rates: bool) -> None:
        self.world, self.rule, self.runs, self.rng = world, rule, runs, rng
        p, se, sp = world.warm_rate, world.sensitivity, world.specificity
        shares = np.array([p * (1 - se) + (1 - p) * sp, p * se + (1 - p) * (1 - sp)])
        self.labels = np.full((runs, 2), float(world.warm_labels))
        self.positive = self.labels * np.array([p * (1 - se), p * se]) / shares
        self.seen = np.tile(shares * world.judged_per_day * 7, (runs, 1))
        self.fresh = np.zeros((runs, 2, 3))  # items, labels and positives of the block
        self.f = np.zeros((runs, 2))
        self.bucket = np.full(runs, float(surge.capacity(world.labels_per_day)))
        self.mixture = np.full((runs, rule.bets), -np.inf)
        self.log_m = np.full(runs, -np.inf)
        self.confirmed = np.zeros(runs)
        self.queued = np.zeros(runs)
        self.asked, self.surged = np.zeros(runs), np.zeros(runs)
        self.judged_at = np.full(runs, np.inf)
        self.items = 0
        self.items_before = 0
        self.sums = np.zeros((runs, 2, len(RateSums._fields))) if rates else None

    def hour(self, hour: int) -> None:
        if hour % _BLOCK_HOURS == 0:
            self._new_block(hour)
        if hour % HOURS == 0:
            self.queued[:] = 0
        if hour < self.world.changes_at * HOURS and self.world.rate_later is not None:
            self.items_before = self.items + self._count(hour)
        pi, f = self._policy()
        if not self._count(hour):
            return
        counts = self._draw(hour, pi)
        self._evidence(counts, pi, f)
        whole = counts.sum(axis=1)
        self._learn(whole)
        if self.sums is not None:
            self._add_rates(whole, pi, f)

    def _count(self, hour: int) -> int:
        return int((hour + 1) * self.world.judged_per_day / HOURS) - int(hour * self.world.judged_per_day / HOURS)

    def _new_block(self, hour: int) -> None:
        """Fits f anew from the labels of earlier blocks and puts in the block's share of the stake."""
        items, labels, positive = np.moveaxis(self.fresh, -1, 0)
        self.labels = self.labels * DECAY + labels
        self.positive = self.positive * DECAY + positive
        self.seen = self.seen * (1 - 1 / 28) + items  # a mean over about seven days
        self.fresh[:] = 0
        self.f = np.minimum((self.positive + PRIOR * self.rule.theta0) / (self.labels + PRIOR), 1.0)
        self.mixture = np.logaddexp(self.mixture, self.rule.log_weight(hour // _BLOCK_HOURS, 0))
        self.log_m = _log_mean(self.mixture)

    def _policy(self) -> tuple[Floats, Floats]:
        """pi and the clipped f of the hour's snapshot, shape (runs, 2)."""
        world = self.world
        s = surge.multiplier(self.log_m, self.bucket) if world.surging else np.ones(self.runs)
        s_used = surge.used(s, world.share)
        self.bucket = surge.refilled(self.bucket, world.labels_per_day, 1 / HOURS, s_used)
        self.surged += s_used > 1
        pi = _probabilities(self.f, self.seen / self.seen.sum(axis=1, keepdims=True), np.minimum(1.0, s * world.share))
        pi[self.queued >= surge.SURGE * world.labels_per_day] = 0.0
        clip = np.divide(self.rule.b * pi, 1 - pi, out=np.full_like(pi, np.inf), where=pi < 1)
        return pi, np.minimum(self.f, clip)

    def _draw(self, hour: int, pi: Floats) -> NDArray[np.int64]:
        """Items by run, step and category."""
        world, n = self.world, self._count(hour)
        rate, se, sp = world.rate_at(hour), world.sensitivity, world.specificity_at(hour)
        joint = np.array([[(1 - rate) * sp, rate * (1 - se)], [(1 - rate) * (1 - sp), rate * se]])  # bin, y
        chances = np.empty((self.runs, 2, 3))
        chances[:, :, 0] = (1 - pi) * joint.sum(axis=1)
        chances[:, :, 1:] = pi[:, :, None] * joint
        chances = chances.reshape(self.runs, 1, _CATEGORIES)
        steps = min(n, _STEPS)
        sizes = np.diff(np.arange(steps + 1) * n // steps)
        drawn: NDArray[np.int64] = self.rng.multinomial(sizes[None, :], chances / chances.sum(axis=-1, keepdims=True))
        return drawn

    def _evidence(self, counts: NDArray[np.int64], pi: Floats, f: Floats) -> None:
        z = np.repeat(f[:, :, None], 3, axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            reviewed = f * (1 - 1 / pi)
            z[:, :, 1], z[:, :, 2] = reviewed, reviewed + 1 / pi
        z = np.where(np.isfinite(z), z, 0.0).reshape(self.runs, _CATEGORIES)
        terms = np.log1p((z - self.rule.tested)[:, :, None] * np.array(self.rule.lambdas))
        running = self.mixture[:, None, :] + np.cumsum(np.matmul(counts, terms), axis=1)
        found = self.confirmed[:, None] + np.cumsum(counts[:, :, 2] + counts[:, :, 5], axis=1)
        log_m = _log_mean(running)
        hit = (log_m >= self.rule.threshold) & (found >= self.rule.min_positives)
        first = np.where(hit.any(axis=1), hit.argmax(axis=1), -1)
        done = np.cumsum(counts.sum(axis=2), axis=1)
        here = np.isinf(self.judged_at) & (first >= 0)
        self.judged_at[here] = self.items + done[here, first[here]]
        self.mixture, self.log_m, self.confirmed = running[:, -1], log_m[:, -1], found[:, -1]
        self.items += int(done[0, -1])

    def _learn(self, counts: NDArray[np.int64]) -> None:
        by_bin = counts.reshape(self.runs, 2, 3)
        labels = by_bin[:, :, 1] + by_bin[:, :, 2]
        self.fresh += np.stack([by_bin.sum(axis=2), labels, by_bin[:, :, 2]], axis=-1)
        self.queued += labels.sum(axis=1)
        self.asked += labels.sum(axis=1)

    def _add_rates(self, counts: NDArray[np.int64], pi: Floats, f: Floats) -> None:
        assert self.sums is not None
        by_bin = counts.reshape(self.runs, 2, 3)
        self.sums += np.einsum("rbk,rbkt->rbt", by_bin, _rate_terms(f, pi))

    def result(self, hours: int) -> Months:
        world = self.world
        early = self.judged_at <= self.items_before if world.rate_later is not None else np.zeros(self.runs, dtype=bool)
        rates = [] if self.sums is None else [[RateSums(*row) for row in run] for run in self.sums]
        judged = np.where(early, np.inf, self.judged_at - self.items_before)
        return Months(judged, self.asked * HOURS / max(hours, 1), self.surged / max(hours, 1), rates, early)


def _rate_terms(f: Floats, pi: Floats) -> Floats:
    """`rates.rate_terms` of one item of each category, shape (runs, bins, 3, terms)."""
    known, y = np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0])
    w = np.repeat((pi > 0).astype(float)[:, :, None], 3, axis=2)
    inverse = w * known / np.where(pi > 0, pi, 1.0)[:, :, None]
    p, q = w * f[:, :, None], inverse * y
    g = inverse * f[:, :, None]
    one = np.ones_like(w)
    counts = [one, one * known, one * known, one * y]
    products = [p * p, p * q, p * g, q * q, q * g, g * g]
    return np.stack([*counts, w, w, p, q, g, p, q, g, *products, inverse], axis=-1)  # in the order of RateSums


def _log_mean(mixture: Floats) -> Floats:
    top = mixture.max(axis=-1)
    return np.asarray(top + np.log(np.mean(np.exp(mixture - top[..., None]), axis=-1)))


def _probabilities(f: Floats, shares: Floats, r: Floats) -> Floats:
    """pi = clip(k f, 0.3 r, 1) with the k that spends r over the bins: `policy.solve_k` of many runs at once."""
    floor = (AUDIT_SHARE * r)[:, None]
    f = np.maximum(f, 1e-9)
    # The mean of pi is linear in k between the points where a bin leaves the floor or reaches 1.
    points = np.sort(np.concatenate([floor / f, 1 / f], axis=1), axis=1)
    means = (shares[:, None, :] * np.minimum(np.maximum(points[:, :, None] * f[:, None, :], floor[:, None]), 1)).sum(2)
    after = np.clip((means < r[:, None]).sum(axis=1), 1, points.shape[1] - 1)[:, None]
    (low, high), (below, above) = (
        (np.take_along_axis(table, after - 1, 1), np.take_along_axis(table, after, 1)) for table in (points, means)
    )
    k = low + (high - low) * (r[:, None] - below) / np.maximum(above - below, 1e-15)
    pi = np.minimum(np.maximum(k * f, floor), 1.0)
    return np.where(r[:, None] >= 1, 1.0, pi)
