"""From a raw score to P(hallucinated), by labels that were bought with unequal probabilities.

A labelled score counts 1/pi, since suspicious items are reviewed more often, and less with its age. Per score bin the
weighted share of positives is shrunk to the same bin over all intents, that to the objective, with a prior worth two
labels; n labels of unequal weight are worth Kish's effective number. Where labels allow, isotonic regression over the
scores themselves (Barlow & Brunk 1972; Zadrozny & Elkan 2002) takes the place of the bins.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tidegauge.slo.policy import DECAY, calibrated

WARM = 40
"""Labels of a bin, over all intents, from which on its P(hallucinated) may end a cascade."""

ISOTONIC_LABELS = 400
ISOTONIC_POSITIVES = 40
"""Labels and positives of an intent from which on its scores are calibrated one by one."""

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


class Labelled(NamedTuple):
    """A score that was labelled."""

    score: float
    y: int
    pi: float
    block: int
    """6-hour block of the item."""


class Bin(NamedTuple):
    share: float
    """Weighted share of positives."""
    labels: float
    """Effective number of labels."""


class Knots(NamedTuple):
    """A step function: `p[i]` from `x[i]` on, `p[0]` below."""

    x: list[float]
    p: list[float]

    def at(self, score: float) -> float:
        return self.p[max(bisect_right(self.x, score) - 1, 0)]


def bins(labelled: Sequence[Labelled], edges: Sequence[float], now_block: int) -> list[Bin]:
    """Share and effective labels of each score bin.

    >>> bins([Labelled(0.9, 1, 0.5, 0), Labelled(0.9, 0, 0.5, 0)], (0.5,), 0)
    [Bin(share=0.0, labels=0.0), Bin(share=0.5, labels=2.0)]
    """
    found = [Bin(0.0, 0.0)] * (len(edges) + 1)
    places = np.searchsorted(np.asarray(edges), [item.score for item in labelled], side="right")
    weights, truth = _weights(labelled, now_block), np.array([item.y for item in labelled], dtype=float)
    for place in np.unique(places):
        w, y = weights[places == place], truth[places == place]
        found[int(place)] = Bin(float(w @ y / w.sum()), float(w.sum() ** 2 / (w @ w)))
    return found


def shrunk(own: Bin, everywhere: Bin, theta0: float) -> float:
    """P(hallucinated) of an intent's bin."""
    prior = calibrated(everywhere.share * everywhere.labels, everywhere.labels, prior=theta0)
    return calibrated(own.share * own.labels, own.labels, prior=prior)


def isotonic(labelled: Sequence[Labelled], now_block: int) -> Knots | None:
    """The weighted isotonic fit; None where there are too few labels for it."""
    from scipy.optimize import isotonic_regression  # half a second, which a worker without labels need not spend

    if len(labelled) < ISOTONIC_LABELS or sum(item.y for item in labelled) < ISOTONIC_POSITIVES:
        return None
    order = np.argsort([item.score for item in labelled], kind="stable")
    ordered = [labelled[i] for i in order]
    x, start = np.unique([item.score for item in ordered], return_index=True)
    w = _weights(ordered, now_block)
    total = np.add.reduceat(w, start)
    share = np.add.reduceat(w * np.array([item.y for item in ordered], dtype=float), start) / total
    fitted = isotonic_regression(share, weights=total).x
    steps = np.flatnonzero(np.concatenate(([True], np.diff(fitted) > 0)))
    return Knots(x[steps].tolist(), fitted[steps].tolist())


def _weights(labelled: Sequence[Labelled], now_block: int) -> Floats:
    ages = np.array([max(now_block - item.block, 0) for item in labelled], dtype=float)
    weights: Floats = DECAY**ages / np.array([item.pi for item in labelled], dtype=float)
    return weights
