"""How well a judge agrees with people, from labels that were bought with unequal probabilities.

Every item counts its weight (1/pi for a review chosen with probability pi). Shares have Clopper and Pearson's interval
at the effective number of items (Korn & Graubard 1998), which weights and hits decide together; kappa (Cohen 1960) has
a percentile bootstrap over items, and where all agree, so that every resample does, that interval's limit of the
agreement at the same margins. Calibration error is the expected one of Guo et al. 2017, over bins of equal width.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tidegauge.slo.rates import UNKNOWN, Estimate, clopper_pearson

RESAMPLES = 1_000
BINS = 10

Array = np.ndarray[Any, np.dtype[np.float64]]


class Judged(NamedTuple):
    """One item: what the judge said, what people say, and what the item counts."""

    flagged: bool
    y: bool
    weight: float = 1.0


class Agreement(NamedTuple):
    labelled: int
    positives: int
    sensitivity: Estimate
    specificity: Estimate
    kappa: Estimate


class CalibrationBin(NamedTuple):
    """Items whose predicted probability lies in one tenth: the mean prediction, the true share, and how many."""

    predicted: float
    share: float
    items: int


def agreement(items: Sequence[Judged], seed: int = 0) -> Agreement:
    """All three with 95 % intervals; unknown where there are no items of the kind.

    >>> found = agreement([Judged(True, True)] * 8 + [Judged(False, True)] * 2 + [Judged(False, False)] * 10)
    >>> round(found.sensitivity.est, 2), round(found.kappa.est, 2)
    (0.8, 0.8)
    """
    said = np.array([item.flagged for item in items], dtype=bool)
    truth = np.array([item.y for item in items], dtype=bool)
    weight = np.array([item.weight for item in items], dtype=float)
    return Agreement(
        labelled=len(items),
        positives=int(truth.sum()),
        sensitivity=_share(said[truth], weight[truth]),
        specificity=_share(~said[~truth], weight[~truth]),
        kappa=_kappa(said, truth, weight, seed),
    )


def calibration_bins(
    predicted: Sequence[float], truth: Sequence[bool], weights: Sequence[float]
) -> list[CalibrationBin]:
    """The non-empty tenths, from the lowest prediction on."""
    p, y, w = (np.asarray(values, dtype=float) for values in (predicted, truth, weights))
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    return [
        CalibrationBin(
            float(np.average(p[place == b], weights=w[place == b])),
            float(np.average(y[place == b], weights=w[place == b])),
            int((place == b).sum()),
        )
        for b in np.unique(place)
    ]


def calibration_error(predicted: Sequence[float], truth: Sequence[bool], weights: Sequence[float]) -> float | None:
    """Mean distance of prediction and share over the tenths, by weight; None without items.

    >>> calibration_error([0.25, 0.25, 0.25, 0.25], [True, False, False, False], [1, 1, 1, 1])
    0.0
    """
    if not len(predicted):
        return None
    p, y, w = (np.asarray(values, dtype=float) for values in (predicted, truth, weights))
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    gaps = np.abs(np.bincount(place, weights=w * p) - np.bincount(place, weights=w * y))
    return float(gaps.sum() / w.sum())


def _share(hit: np.ndarray[Any, np.dtype[np.bool_]], weight: Array) -> Estimate:
    if not len(hit):
        return UNKNOWN
    total = weight.sum()
    share = float(weight @ hit / total) if hit.any() != hit.all() else float(hit.all())  # exactly 0 or 1, not nearly
    kish = float(total**2 / (weight @ weight))
    variance = float(((weight * (hit - share)) ** 2).sum() / total**2)
    return Estimate(share, *clopper_pearson(share, min(kish, share * (1 - share) / variance) if variance else kish))


def _kappa(said: Any, truth: Any, weight: Array, seed: int) -> Estimate:
    cell = 2 * said.astype(int) + truth
    point = _kappas(np.bincount(cell, weights=weight, minlength=4)[None, :].astype(float))
    if not len(said) or np.isnan(point[0]):
        return Estimate(None, -1.0, 1.0)
    draws = np.random.default_rng(seed).integers(len(cell), size=(RESAMPLES, len(cell)))
    sums = np.stack([np.where(cell == c, weight, 0.0)[draws].sum(axis=1) for c in range(4)], axis=1)
    spread = _kappas(sums)
    low, high = np.nanquantile(spread, [0.025, 0.975])
    if (said == truth).all():
        low = _least_kappa(weight, float(weight @ truth / weight.sum()))
    return Estimate(float(point[0]), float(low), float(high))


def _least_kappa(weight: Array, true: float) -> float:
    """Lower limit where all items agree, of which a share `true` is positive."""
    agreed = clopper_pearson(1.0, float(weight.sum() ** 2 / (weight @ weight)))[0]
    chance = true * true + (1 - true) * (1 - true)
    return max((agreed - chance) / (1 - chance), -1.0)


def _kappas(cells: Array) -> Array:
    """Kappa of each row of (neither, truth only, said only, both); nan where chance agreement is certain."""
    total = cells.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        neither, missed, false, both = (cells[:, i] / total for i in range(4))
        said, true = false + both, missed + both
        chance = said * true + (1 - said) * (1 - true)
        found: Array = (neither + both - chance) / (1 - chance)
    found[chance >= 1 - 1e-12] = np.nan
    return found
