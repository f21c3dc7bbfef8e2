"""When labels are bought: four times as many while evidence grows, a little fewer than the budget at all other times.

What a snapshot decides depends on labels in hand only, so review probabilities stay fixed before an item's label is
known and the test stays valid. Over T days at most labels_per_day * T + 14 * labels_per_day reviews are planned.
The functions take numbers or arrays.
"""

from math import log
from typing import Any

import numpy as np

SURGE = 4.0
"""Times the label budget while a surge is on."""

REST = 0.9
"""Share of the label budget at all other times; what is left over fills the bucket."""

CAPACITY_DAYS = 14
"""What the bucket holds, in days of the label budget. It starts full."""

TRIGGER = log(0.5)
"""log of M, the running mixture, from which on a surge is due. A new test begins there."""

FEW_BETS_FROM = 0.03
"""Share of items reviewed from which on a new test has five bets instead of eight."""


def capacity(labels_per_day: Any) -> Any:
    """Labels that the bucket holds."""
    return CAPACITY_DAYS * labels_per_day


def multiplier(log_m: Any, bucket: Any) -> Any:
    """s: what the review rate is multiplied by, from the highest running evidence of the intent's live deployments."""
    return np.where((np.asarray(log_m) >= TRIGGER) & (np.asarray(bucket) > 0), SURGE, REST)


def used(s: Any, rate: Any) -> Any:
    """What s comes to: no more than everything can be reviewed. `rate` is labels a day over items a day, above 0."""
    return np.minimum(s, 1 / np.asarray(rate, dtype=float))


def refilled(bucket: Any, labels_per_day: Any, days: Any, s_used: Any) -> Any:
    """The bucket after some days at one s. It may fall a little below 0 within a snapshot, and is paid back."""
    spent = np.maximum(np.asarray(s_used) - REST, 0)
    return np.minimum(capacity(labels_per_day), bucket + (1 - REST - spent) * labels_per_day * days)


def bets_for(rate: float) -> int:
    """Number of bets of a new test, from the share of items that the budget reviews; frozen with the test."""
    return 5 if rate >= FEW_BETS_FROM else 8
