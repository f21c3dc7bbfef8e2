"""The sequential test: a mixture of betting e-processes that stays valid however often it is looked at.

References: Waudby-Smith & Ramdas, *Estimating means of bounded random variables by betting*; Shin, Ramdas & Rinaldo,
*E-detectors*; Angelopoulos et al., *Prediction-powered inference*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, inf, log, log1p

import numpy as np
from numpy.typing import NDArray

BETS = 8
"""Number of sums that are kept of a block: the most bets that a rule may have."""

_LOWEST = {8: 0.05, 5: 0.1}
"""The smallest bet, by the number of bets."""


@dataclass(frozen=True)
class Rule:
    """When a hallucination rate is provably too high.

    `false_positive_rate` e is how often reviewers flag a good answer: labels then read theta0 + e(1 - theta0) at the
    objective itself, and that is what is tested. `horizon` counts 6-hour blocks. `bets` is 8, or 5 where at least 3 %
    of the items are reviewed; it is fixed for the life of a test.
    """

    theta0: float
    alpha: float = 0.001
    b: float = 0.5
    min_positives: int = 5
    false_positive_rate: float = 0.0
    horizon: int = 112
    bets: int = BETS

    def __post_init__(self) -> None:
        if not 0 < self.theta0 < 1 or not 0 < self.alpha < 1 or not 0 <= self.false_positive_rate < 1 or self.b <= 0:
            raise ValueError(f"{self}: theta0 and alpha lie in (0, 1), false_positive_rate in [0, 1), b above 0")
        if self.bets not in _LOWEST:
            raise ValueError(f"{self}: bets is 5 or 8")

    @cached_property
    def tested(self) -> float:
        """The rate of positive labels that the evidence is against."""
        return self.theta0 + self.false_positive_rate * (1 - self.theta0)

    @cached_property
    def lambdas(self) -> tuple[float, ...]:
        """The bets. The largest keeps every factor positive, because Z >= -b."""
        return tuple(np.geomspace(_LOWEST[self.bets], 0.98 / (self.tested + self.b), self.bets).tolist())

    @cached_property
    def threshold(self) -> float:
        """log(1/alpha)."""
        return -log(self.alpha)

    def log_weight(self, block: int, first_block: int) -> float:
        """Log of the share of the stake that is put in at a block: half at the start, the rest evenly."""
        return log(0.5) if block == first_block else log(0.5 / self.horizon)

    def breached(self, max_log_e: float, positives: int) -> bool:
        """The decision: the evidence suffices and rests on confirmed positives."""
        return max_log_e >= self.threshold and positives >= self.min_positives


def clip_f(f: float, pi: float, b: float = 0.5) -> float:
    """f cut down to b * pi / (1 - pi), so that Z >= -b; 0 where nothing is reviewed."""
    return f if pi >= 1 else min(f, b * pi / (1 - pi))


def estimate_of(f: float, pi: float, reviewed: bool, y: int) -> float:
    """Z of one item: unbiased for its label whatever f is, since reviewed is Bernoulli(pi)."""
    return y / pi + f * (1 - 1 / pi) if reviewed else f


def item_terms(rule: Rule, f: float, pi: float, reviewed: bool, y: int, *, u: float = 1.0) -> list[float]:
    """The log factors of one item, one per bet, log1p(lambda * u * (Z - theta)); f is clipped already, 0 <= u <= 1."""
    x = u * (estimate_of(f, pi, reviewed, y) - rule.tested)
    return [log1p(bet * x) for bet in rule.lambdas]


def terms_of(rule: Rule, z: NDArray[np.float64], u: NDArray[np.float64] | float = 1.0) -> NDArray[np.float64]:
    """`item_terms` of many items at once: z of shape (n,) gives (n, bets)."""
    x = np.asarray(u * (z - rule.tested), dtype=np.float64)
    terms: NDArray[np.float64] = np.log1p(x[:, None] * np.array(rule.lambdas))
    return terms


def label_difference(rule: Rule, f: float, pi: float, u: float, *, old: int, new: int) -> list[float]:
    """What a changed label of a reviewed item adds to its block's sums."""
    before, after = item_terms(rule, f, pi, True, old, u=u), item_terms(rule, f, pi, True, new, u=u)
    return [a - b for a, b in zip(after, before, strict=True)]


def advance(mixture: Sequence[float], sums: Sequence[float], log_weight: float) -> list[float]:
    """Log of sum_{j<=c} w_j exp(C[c,k] - C[j-1,k]) per bet k, from the same one block earlier and the block's sums."""
    return [term + _logaddexp(before, log_weight) for before, term in zip(mixture, sums, strict=True)]


def log_mean(mixture: Sequence[float]) -> float:
    """Log of the mean over the bets: log M_c."""
    top = max(mixture)
    return top + log(sum(exp(value - top) for value in mixture) / len(mixture))


def nothing(rule: Rule) -> Sequence[float]:
    """The mixture before the first block."""
    return (-inf,) * rule.bets


def log_evidence(
    rule: Rule, sums: Mapping[int, Sequence[float]], first_block: int, last_block: int
) -> tuple[NDArray[np.float64], float]:
    """The running evidence log M_c for every block from first to last, and its maximum.

    `sums` maps a block to its sums, one per bet, more are not read; a block without items may be absent. Empty where
    last < first: (0,), -inf.
    """
    series = np.empty(max(0, last_block - first_block + 1))
    mixture, zeros = nothing(rule), (0.0,) * rule.bets
    for position, block in enumerate(range(first_block, last_block + 1)):
        mixture = advance(mixture, sums.get(block, zeros)[: rule.bets], rule.log_weight(block, first_block))
        series[position] = log_mean(mixture)
    return series, float(series.max(initial=-inf))


def _logaddexp(a: float, b: float) -> float:
    high, low = (a, b) if a >= b else (b, a)
    return high if low == -inf else high + log1p(exp(low - high))
