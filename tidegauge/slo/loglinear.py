"""Confirmed findings per item, by group and stratum: mean = exposure * rate of the stratum * level of the group.

The log-linear model of indirect standardisation: levels of groups are compared at one and the same mix of strata.
References: Breslow & Day, *Statistical Methods in Cancer Research* II, ch. 3-4; McCullagh & Nelder on quasi-likelihood.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STRENGTH = 2.0
"""Findings that the pooled rate is worth when a stratum's own rate is fitted."""

_ROUNDS = 25
_TINY = 1e-300


class Fit(NamedTuple):
    log_likelihood: Floats
    """Shape (...). Penalised; up to a constant that is the same for every grouping of the rows of one table."""
    levels: Floats
    """Shape (..., groups)."""
    rates: Floats
    """Shape (..., strata), in findings per unit of exposure, at level 1."""


def fit(found: Floats, exposure: Floats) -> Fit:
    """Fits tables of shape (..., groups, strata) by alternating closed-form steps. Counts may be weighted."""
    pooled = max(float(found.sum()) / max(float(exposure.sum()), _TINY), _TINY)
    by_stratum, by_group = found.sum(axis=-2), found.sum(axis=-1)
    levels = np.ones(found.shape[:-1])
    for _ in range(_ROUNDS):
        rates = (by_stratum + STRENGTH) / (np.einsum("...g,...gs->...s", levels, exposure) + STRENGTH / pooled)
        expected = np.einsum("...gs,...s->...g", exposure, rates)
        levels = np.divide(by_group, expected, out=np.ones_like(by_group), where=expected > 0)
    mean = levels[..., :, None] * rates[..., None, :]
    # Without the logarithm of the exposure: that is the same however the rows of a table are grouped.
    likelihood = np.where(found > 0, found * np.log(np.maximum(mean, _TINY)), 0.0) - mean * exposure
    prior = STRENGTH * (np.log(rates / pooled) - rates / pooled)
    return Fit(likelihood.sum(axis=(-2, -1)) + prior.sum(axis=-1), levels, rates)
