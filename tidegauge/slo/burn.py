"""Burn levels: is the budget burning at so many times the objective? Two ways, for labelled samples and for counts."""

from collections.abc import Iterable, Mapping
from math import exp, inf, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.slo.evidence import Rule, advance, log_mean, nothing, terms_of
from tidegauge.slo.rates import wilson_lower

Floats = NDArray[np.float64]

_FEWEST_BAD = 5
_ROUNDING = 1e-9


class Items(NamedTuple):
    """Judged items that are alike, of one block: `number` of them."""

    block: int
    f: float
    pi: float
    u: float
    reviewed: bool
    y: int
    number: int


class Counts(NamedTuple):
    """Requests and bad ones of a look-back."""

    requests: int
    bad: int

    @property
    def rate(self) -> float:
        return self.bad / self.requests if self.requests else 0.0


def rule_at(rule: Rule, burn: float) -> Rule | None:
    """The same rule against `burn` times the objective; None where no rate could be higher."""
    theta = burn * rule.theta0
    if theta >= 1:
        return None
    return Rule(
        theta0=theta,
        alpha=rule.alpha,
        b=rule.b,
        min_positives=rule.min_positives,
        false_positive_rate=rule.false_positive_rate,
        horizon=rule.horizon,
    )


def block_sums(rule: Rule, items: Iterable[Items]) -> dict[int, Floats]:
    """The log factors of every block, summed."""
    rows = [row for row in items if row.pi > 0]
    if not rows:
        return {}
    block, f, pi, u, reviewed, y, number = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    z = np.where(reviewed > 0, y / pi + f * (1 - 1 / pi), f)
    terms = terms_of(rule, z, u) * number[:, None]
    numbers, where = np.unique(block.astype(np.int64), return_inverse=True)
    sums = np.zeros((len(numbers), terms.shape[1]))
    np.add.at(sums, where, terms)
    return dict(zip(numbers.tolist(), sums, strict=True))


def windowed_evidence(rule: Rule, sums: Mapping[int, Floats], first: int, last: int, origin: int) -> float:
    """log M at block `last`, with stakes put in at the blocks from `first` on; `origin` is where the test began.

    M is the e-detector of `Rule` with its stakes older than the window taken away, so it never exceeds it: the
    chance of a false alarm by time T stays at most alpha * (1/2 + T / 56 days). It falls again when the rate does.
    """
    mixture = nothing(rule)
    zeros = [0.0] * len(rule.lambdas)
    for block in range(first, last + 1):
        weight = rule.log_weight(block, origin)
        mixture = advance(mixture, sums[block].tolist() if block in sums else zeros, weight)
    return log_mean(mixture) if last >= first else -inf


def calmed(rule: Rule, log_e: float, first: int, last: int, origin: int) -> bool:
    """Whether an open alarm may close: no evidence is left, M <= 1, or <= what was put in where a window is longer than
    56 days: without any item M is that."""
    staked = sum(exp(rule.log_weight(block, origin)) for block in range(first, last + 1))
    return log_e <= log(max(staked, 1.0)) + _ROUNDING


def counted_burns(long: Counts, short: Counts, allowed: float, burn: float) -> bool:
    """The multi-window rule of the SRE Workbook on counts: over the look-back and over its last twelfth.

    The look-back's rate must be higher by more than chance, by Wilson's lower limit, and rest on at least five bad
    requests: one error of three requests is no alarm.
    """
    least = burn * allowed
    return long.bad >= _FEWEST_BAD and wilson_lower(long.rate, long.requests) >= least and short.rate >= least
