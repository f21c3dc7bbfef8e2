"""The rate shown to people: Hajek AIPW with an interval that holds for rare events and few labels.

References: Korn & Graubard on confidence intervals for proportions from surveys; Zou & Donner's MOVER over Wilson
limits per stratum; Angelopoulos et al., *Prediction-powered inference*.
"""

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import NamedTuple

from scipy.special import betaincinv

LEVEL = 0.95
_NORMAL = 1.959963984540054  # quantile at (1 + LEVEL) / 2
_FEW_POSITIVES = 5


class RateSums(NamedTuple):
    """Additive sums of one stratum (evaluator and score bin), or of one item; the columns of the table rate_sums.

    With w = 1/pi1, p = f, q = R'Y/pi and g = R'f/pi, where R' is "reviewed and returned": `p`, `q`, `g` and
    `inverse_pi` = R'/pi are weighted by w; two letters are products, weighted by w*w.
    """

    items: float = 0
    reviewed: float = 0
    returned: float = 0
    positives: float = 0
    w: float = 0
    ww: float = 0
    p: float = 0
    q: float = 0
    g: float = 0
    wp: float = 0
    wq: float = 0
    wg: float = 0
    pp: float = 0
    pq: float = 0
    pg: float = 0
    qq: float = 0
    qg: float = 0
    gg: float = 0
    inverse_pi: float = 0

    def plus(self, other: Sequence[float]) -> "RateSums":
        return RateSums(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: Sequence[float]) -> "RateSums":
        return RateSums(*(a - b for a, b in zip(self, other, strict=True)))

    @property
    def share_returned(self) -> float:
        """rho: how many of the reviews came back; 1 where none was asked for."""
        return self.returned / self.reviewed if self.reviewed else 1.0


class Estimate(NamedTuple):
    """A rate with its 95 % interval; `est` is None and the interval [0, 1] while nothing is known."""

    est: float | None
    lo: float
    hi: float

    @property
    def unknown(self) -> bool:
        return self.est is None


UNKNOWN = Estimate(None, 0.0, 1.0)


def rate_terms(f: float, pi: float, reviewed: bool, returned: bool, y: int, *, pi1: float = 1.0) -> RateSums:
    """The sums of one item. A reviewed item whose label has not come counts as unreviewed in q and g.

    At pi = 0 (the day's quota was full) the item says nothing of the rate: it is counted, with weight 0.
    """
    known = reviewed and returned
    w = 1 / pi1 if pi > 0 else 0.0
    p = w * f
    q = w * y / pi if known else 0.0
    g = p / pi if known else 0.0
    inverse = w / pi if known else 0.0
    positives = y if known else 0
    return RateSums(
        1, int(reviewed), int(known), positives, w, w * w, p, q, g, w * p, w * q, w * g,
        p * p, p * q, p * g, q * q, q * g, g * g, inverse,
    )  # fmt: skip


def estimate(strata: Iterable[Sequence[float]], false_positive_rate: float = 0.0) -> Estimate:
    """The rate over strata of `RateSums`, one per evaluator and score bin, blocks added up.

    A stratum of which only a share rho of the reviews came back is read as reviewed with probability rho * pi. With a
    false positive rate e of the reviewers, rate and limits become (x - e) / (1 - e), within [0, 1].
    """
    parts = [RateSums(*part) for part in strata]
    total = sum((part.w for part in parts), 0.0)
    returned = sum(part.returned for part in parts)
    if not returned or total <= 0:
        return UNKNOWN
    raw = sum(_sum_z(part) for part in parts) / total
    est = min(max(raw, 0.0), 1.0)
    pseudo = sum(part.inverse_pi for part in parts) / returned / total
    few = sum(part.positives for part in parts) < _FEW_POSITIVES
    variance = sum(_sum_squares(part, raw) for part in parts) / total**2 + (pseudo**2 if few else 0.0)
    # At an estimate of 0 its own p(1-p) says nothing; one pseudo-positive is the least that was not ruled out.
    spread = min(max(est, pseudo), 0.5) if few else est
    size = min(spread * (1 - spread) / variance if variance > 0 else float("inf"), total**2 / _ww(parts))
    lo, hi = clopper_pearson(est, size)
    hi = max(hi, est + _mover_width(parts, total))
    scaled = [float(min(max((x - false_positive_rate) / (1 - false_positive_rate), 0.0), 1.0)) for x in (est, lo, hi)]
    return Estimate(scaled[0], min(scaled[1], scaled[0]), max(scaled[2], scaled[0]))


def _ww(parts: Sequence[RateSums]) -> float:
    return sum(part.ww for part in parts)


def _sum_z(part: RateSums) -> float:
    rho = part.share_returned
    return part.p + ((part.q - part.g) / rho if rho > 0 else 0.0)


def _sum_squares(part: RateSums, mean: float) -> float:
    """Sum of w^2 (Z - mean)^2."""
    s = 1 / part.share_returned if part.share_returned > 0 else 0.0
    first = part.wp + s * (part.wq - part.wg)
    second = part.pp + 2 * s * (part.pq - part.pg) + s * s * (part.qq - 2 * part.qg + part.gg)
    return max(second - 2 * mean * first + mean * mean * part.ww, 0.0)


def clopper_pearson(est: float, size: float) -> tuple[float, float]:
    """Limits at a real-valued number of trials."""
    hits, tail = est * size, (1 - LEVEL) / 2
    lo = float(betaincinv(hits, size - hits + 1, tail)) if hits > 0 else 0.0
    hi = float(betaincinv(hits + 1, size - hits, 1 - tail)) if hits < size else 1.0
    return lo, hi


def _mover_width(parts: Iterable[RateSums], total: float) -> float:
    """How far the upper limit lies above the estimate by MOVER: root of sum share^2 (wilson_upper - rate)^2."""
    squares = 0.0
    for part in parts:
        if part.inverse_pi > 0:
            rate = min(max(part.q / part.inverse_pi, 0.0), 1.0)
        else:
            rate = part.p / part.w if part.w > 0 else 0.0
        squares += (part.w / total * (wilson_upper(rate, _effective(part)) - rate)) ** 2
    return sqrt(squares)


def _effective(part: RateSums) -> float:
    """Kish's effective number of labels, (sum of weights)^2 / sum of squares: fewer than came back where the review
    probability changed, as in a surge. The weights are f / pi, and f hardly changes within a bin."""
    return min(part.returned, part.g**2 / part.gg) if part.gg > 0 else part.returned


def wilson_upper(rate: float, n: float) -> float:
    """Wilson's upper limit of a proportion seen in n trials; 1 where n is 0."""
    if n <= 0:
        return 1.0
    z2 = _NORMAL * _NORMAL
    centre = rate + z2 / (2 * n)
    return min((centre + _NORMAL * sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))) / (1 + z2 / n), 1.0)


def wilson_lower(rate: float, n: float) -> float:
    """Wilson's lower limit of a proportion seen in n trials; 0 where n is 0."""
    return 1 - wilson_upper(1 - rate, n)
