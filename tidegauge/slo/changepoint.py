"""Since when: one step in the rate of findings, block by block, at a fixed mix of strata.

Reference: Siegmund, *Confidence sets in change-point problems*, Int. Statist. Rev. 56 (1988).
"""

from math import log
from typing import NamedTuple

import numpy as np

from tidegauge.slo.loglinear import Floats, fit

LEVEL = 0.95

_DROP = -log(1 - LEVEL**0.5)
"""How far the log likelihood may fall within the interval: a walk to either side rises above c with at most exp(-c)."""


class Step(NamedTuple):
    """Blocks count from the first row of the table; the step is before block `at`."""

    at: int
    low: int
    high: int
    gains: Floats
    """Log likelihood over that of no step, of a step before block 1, 2, ...; 0 for a step downwards."""


def step(found: Floats, exposure: Floats, dispersion: float = 1.0) -> Step | None:
    """The most likely step upwards of tables of shape (blocks, strata), None where there is none."""
    if found.shape[0] < 2:
        return None
    none = fit(found.sum(axis=0, keepdims=True), exposure.sum(axis=0, keepdims=True)).log_likelihood
    split = fit(_split(found), _split(exposure))
    rising = split.levels[:, 1] > split.levels[:, 0]
    gains = np.where(rising, np.maximum(split.log_likelihood - none, 0.0), 0.0) / dispersion
    best = int(np.argmax(gains))
    if gains[best] <= 0:
        return None
    inside = np.flatnonzero(gains >= gains[best] - _DROP)
    return Step(best + 1, int(inside[0]) + 1, int(inside[-1]) + 1, gains)


def _split(table: Floats) -> Floats:
    """Sums before and after each cut: (blocks, strata) gives (blocks - 1, 2, strata)."""
    before = np.cumsum(table, axis=0)
    return np.stack([before[:-1], before[-1] - before[:-1]], axis=1)
