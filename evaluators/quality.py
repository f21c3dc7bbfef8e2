"""How well scores and labels agree with a human's: AUROC, balanced accuracy, F1, Cohen's kappa, calibration."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tidegauge.slo.agreement import calibration_error

RESAMPLES = 400

Numbers = Sequence[float] | npt.NDArray[Any]
Flags = Sequence[bool] | npt.NDArray[np.bool_]


class Judged(NamedTuple):
    """One scored line with its truth; `score` rises with the suspicion."""

    score: float
    flagged: bool
    truth: bool


def quality(rows: Sequence[Judged], seed: int = 0) -> dict[str, Any]:
    """All measures, and of most a 95 % percentile bootstrap interval under the same name with `_interval`.

    A measure that the rows do not determine is None. Scores outside [0, 1] have no calibration.
    """
    values = np.array([(row.score, row.flagged, row.truth) for row in rows], dtype=float).reshape(-1, 3)
    scores, truth = values[:, 0], values[:, 2] > 0
    found: dict[str, Any] = {name: measure(values) for name, measure in _MEASURES.items()}
    probabilities = bool(rows) and scores.min() >= 0 and scores.max() <= 1
    found["brier"] = float(np.mean((scores - truth) ** 2)) if probabilities else None
    ones = [1.0] * len(rows)
    found["calibration_error"] = calibration_error(scores.tolist(), truth.tolist(), ones) if probabilities else None
    return found | _intervals(values, [name for name in _MEASURES if found[name] is not None], seed)


def _intervals(values: npt.NDArray[Any], names: Sequence[str], seed: int) -> dict[str, Any]:
    draws: dict[str, list[float]] = {name: [] for name in names}
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES if names else 0):
        drawn = values[rng.integers(len(values), size=len(values))]
        for name, kept in draws.items():
            value = _MEASURES[name](drawn)
            if value is not None:
                kept.append(value)
    return {f"{name}_interval": np.quantile(kept, [0.025, 0.975]).tolist() for name, kept in draws.items() if kept}


def auroc(scores: Numbers, truth: Flags) -> float | None:
    """P(score of a positive > score of a negative), ties counted half; None without both kinds.

    >>> auroc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    true = np.asarray(truth, dtype=bool)
    positives = int(true.sum())
    negatives = len(true) - positives
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(np.asarray(scores, dtype=float), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[true].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def balanced_accuracy(predicted: Flags, truth: Flags) -> float | None:
    """Mean of sensitivity and specificity; None without both kinds.

    >>> balanced_accuracy([True, False, False, False], [True, True, False, False])
    0.75
    """
    said, true = np.asarray(predicted, dtype=bool), np.asarray(truth, dtype=bool)
    if true.all() or not true.any():
        return None
    return float((said[true].mean() + (~said[~true]).mean()) / 2)


def f1(predicted: Flags, truth: Flags) -> float | None:
    """Harmonic mean of precision and recall; None where nothing is positive in either.

    >>> f1([True, False, True, False], [True, True, False, False])
    0.5
    """
    said, true = np.asarray(predicted, dtype=bool), np.asarray(truth, dtype=bool)
    total = int(said.sum() + true.sum())
    return float(2 * (said & true).sum() / total) if total else None


def kappa(predicted: Flags, truth: Flags) -> float | None:
    """Cohen's kappa; None where chance agreement is certain.

    >>> kappa([True, False, False, False], [True, True, False, False])
    0.5
    """
    said, true = np.asarray(predicted, dtype=bool), np.asarray(truth, dtype=bool)
    if not len(true):
        return None
    observed, a, b = (said == true).mean(), said.mean(), true.mean()
    expected = a * b + (1 - a) * (1 - b)
    return float((observed - expected) / (1 - expected)) if expected < 1 else None


_MEASURES: dict[str, Callable[[npt.NDArray[Any]], float | None]] = {
    "auroc": lambda v: auroc(v[:, 0], v[:, 2] > 0),
    "balanced_accuracy": lambda v: balanced_accuracy(v[:, 1] > 0, v[:, 2] > 0),
    "f1": lambda v: f1(v[:, 1] > 0, v[:, 2] > 0),
    "kappa": lambda v: kappa(v[:, 1] > 0, v[:, 2] > 0),
}
