"""Canary against control: guardrails that may be looked at after every tick, on all traffic and on confirmed positives.

Requests come in bursts, and those of a burst fare alike; so the unit is not the request but the cluster, a short
stretch of time with both arms in it. References: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, *Time-uniform central
limit theory and asymptotic confidence sequences*, arXiv:2103.06476; Woodruff (1952) for the error of a quantile.
"""

from collections.abc import Iterable
from math import inf, log, log1p, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FEWEST_CLUSTERS = 24
"""With canary traffic, before anything is said: the limit theorem needs some."""

FEWEST_REQUESTS = 200
TYPICAL_CLUSTERS = 288
"""The interval is narrowest after so many: a day of five minutes."""

LEVELS = (0.75, 0.9, 0.95)
"""Quantiles at which the canary's latencies are compared: slower is slower at any of them."""

MARGIN = 1.25
"""Against a canary whose new style a judge reads differently."""

RATIOS = (1.5, 2.0, 3.0, 5.0)


class Worsening(NamedTuple):
    """How much worse the canary is than its control, in the unit of what is measured."""

    est: float
    se: float
    proven: bool
    """Whether it is worse at all, at every look together, beyond the error probability asked for."""

    def beyond(self, margin: float) -> bool:
        """Proven, and the margin lies no further than one standard error above the estimate."""
        return self.proven and self.est + self.se >= margin


NOTHING = Worsening(0.0, inf, False)
"""Too little traffic to say anything."""


class Counts(NamedTuple):
    """Requests and bad ones among them, per cluster; two arrays of shape (clusters,)."""

    requests: Ints
    bad: Ints


def share_worsening(canary: Counts, control: Counts, alpha: float) -> Worsening:
    """The rise of the share of bad requests, from the same clusters of both arms."""
    if not _enough(canary.requests, control.requests):
        return NOTHING
    est, se = _difference(canary, control)
    return Worsening(est, se, est > se * boundary(int((canary.requests > 0).sum()), alpha))


def latency_worsening(canary: Ints, control: Ints, values: Floats, alpha: float, q: float = 0.95) -> Worsening:
    """The rise of the q-quantile of the latency, in the unit of `values`.

    `canary` and `control` are counts of shape (clusters, buckets), `values` the ascending latencies of the buckets. It
    is proven by the share of the canary's requests above the control's quantiles, at any of LEVELS.
    """
    sizes = canary.sum(axis=1), control.sum(axis=1)
    if not _enough(*sizes):
        return NOTHING
    mine, theirs = canary.sum(axis=0), control.sum(axis=0)
    limit = boundary(int((sizes[0] > 0).sum()), alpha / len(LEVELS))
    proven, se = False, 0.0
    for level in (*LEVELS, q):
        place = _place(theirs, level)
        found, se = _difference(
            Counts(sizes[0], canary[:, place + 1 :].sum(axis=1)), Counts(sizes[1], control[:, place + 1 :].sum(axis=1))
        )
        proven = proven or (level in LEVELS and found > se * limit)
    width = values[_place(mine, min(q + se, 1.0))] - values[_place(mine, max(q - se, 0.0))]
    return Worsening(float(values[_place(mine, q)] - values[_place(theirs, q)]), float(width / 2), proven)


def boundary(clusters: int, alpha: float) -> float:
    """Standard errors that an estimate from so many clusters must be above 0, for all looks together (one-sided)."""
    wide = -2 * log(2 * alpha)
    scaled = clusters * (wide + log(wide) + 1) / TYPICAL_CLUSTERS
    return sqrt(2 * (scaled + 1) / scaled * log1p(sqrt(scaled + 1) / (2 * alpha)))


def hallucination_evidence(positives: Iterable[tuple[bool, float]]) -> float:
    """Log evidence that a canary hallucinates more than 1.25 times as often as its control.

    One entry per human-confirmed positive: whether it is the canary's, and the canary's share of the traffic then, both
    arms routed alike.
    """
    terms = np.zeros(len(RATIOS))
    for is_canary, share in positives:
        for place, ratio in enumerate(RATIOS):
            terms[place] += is_canary * log(ratio)
            terms[place] += log((MARGIN * share + 1 - share) / (MARGIN * share * ratio + 1 - share))
    return float(np.logaddexp.reduce(terms) - log(len(RATIOS)))


def _enough(canary: Ints, control: Ints) -> bool:
    busy = int(((canary > 0) & (control > 0)).sum())
    return busy >= FEWEST_CLUSTERS and int(canary.sum()) >= FEWEST_REQUESTS


def _difference(canary: Counts, control: Counts) -> tuple[float, float]:
    """Share of the canary less that of the control, and its standard error over clusters, linearised."""
    mine, theirs = canary.bad.sum() / canary.requests.sum(), control.bad.sum() / control.requests.sum()
    parts = (canary.bad - mine * canary.requests) / canary.requests.sum()
    parts = parts - (control.bad - theirs * control.requests) / control.requests.sum()
    clusters = int((canary.requests > 0).sum())
    return float(mine - theirs), sqrt(float((parts**2).sum()) * clusters / (clusters - 1))


def _place(counts: Ints, q: float) -> int:
    """Bucket of the q-quantile."""
    cumulated = counts.cumsum()
    return min(int(np.searchsorted(cumulated, q * cumulated[-1])), len(counts) - 1)
