"""Whether a share has risen since the beginning, whatever it was, and intervals that may always be looked at.

References: Wasserman, Ramdas & Balakrishnan, *Universal inference* (PNAS 2020); Shin, Ramdas & Rinaldo, *E-detectors*;
Robbins, *Statistical methods related to the law of the iterated logarithm* (1970), for the interval.
"""

from collections.abc import Sequence
from functools import cache
from math import log
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, expit, logsumexp, xlogy

Floats = npt.NDArray[np.float64]

HORIZON = 100
"""Steps over which half of the weight on the time of the change is spread evenly."""

STEP = 8
"""Observations between the times at which a change may begin."""

_SMALLEST_RISE = 0.75
"""Of the odds, as a logarithm: smaller rises are not bet on."""


class Interval(NamedTuple):
    """An estimated share; None where nothing was observed, and then the interval is [0, 1]."""

    est: float | None
    lo: float
    hi: float


def rise_evidence(observed: Sequence[int] | npt.NDArray[np.int64]) -> Floats:
    """Running log evidence that the share of ones among `observed` (n,) rose at some time; shape (n,), not falling.

    While the share stays the same, whatever it is, the chance that the evidence ever reaches log(1/alpha) is at most
    alpha. The numerator is a mixture over times of the change and over pairs of shares before and after, the
    denominator the largest likelihood without a change.
    """
    x = np.asarray(observed, dtype=np.int64)
    if not len(x):
        return np.empty(0)
    before, after = _pairs()
    seen, ones = np.arange(1, len(x) + 1), np.cumsum(x)
    counts = np.stack((seen - ones, ones), axis=1)
    later = np.arange(STEP, len(x), STEP)
    weights = np.array([_log_weight(step + 1) for step in range(len(later) + 1)])
    until = np.concatenate((np.zeros((1, 2), dtype=np.int64), counts[later - 1]))
    # A change may begin every few observations only: what has begun stays the same between them.
    begun = np.logaddexp.accumulate(until @ (before - after) + weights[:, None], axis=0)
    mixture = counts @ after + begun[(seen - 1) // STEP]
    best = xlogy(ones, ones / seen) + xlogy(seen - ones, 1 - ones / seen)
    evidence: Floats = np.maximum.accumulate(logsumexp(mixture, axis=1) - log(before.shape[1]) - best)
    return evidence


def share_interval(ones: int, observed: int, alpha: float = 0.05) -> Interval:
    """A confidence sequence for a share: it holds at all looks together with probability 1 - alpha."""
    if observed == 0:
        return Interval(None, 0.0, 1.0)
    from scipy.optimize import brentq  # half a second, in every worker, for a question that few jobs ask

    mixture = float(betaln(ones + 0.5, observed - ones + 0.5) - betaln(0.5, 0.5))

    def beyond(p: float) -> float:
        """Positive outside the interval."""
        return float(mixture - xlogy(ones, p) - xlogy(observed - ones, 1 - p)) - log(1 / alpha)

    middle = (ones + 0.5) / (observed + 1)
    tiny = 1e-12
    low = brentq(beyond, tiny, middle) if ones and beyond(tiny) > 0 else 0.0
    high = brentq(beyond, middle, 1 - tiny) if ones < observed and beyond(1 - tiny) > 0 else 1.0
    return Interval(ones / observed, float(low), float(high))


def _log_weight(n: int) -> float:
    """Of a change at the n-th step; the weights sum to less than 1."""
    return log(0.5 / HORIZON) if n <= HORIZON else log(0.5 * HORIZON / (n * (n - 1)))


@cache
def _pairs() -> tuple[Floats, Floats]:
    """Log likelihoods of a zero and of a one, before and after a rise, each of shape (2, pairs).

    The shares are on a grid that is even in the logarithm of the odds.
    """
    odds = np.linspace(-5.0, 1.5, 14)
    low, high = np.meshgrid(odds, odds, indexing="ij")
    rise = high - low >= _SMALLEST_RISE
    return tuple(np.log(np.stack((expit(-side[rise]), expit(side[rise])))) for side in (low, high))
