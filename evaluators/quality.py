"""How well scores and labels agree with a human's: AUROC, balanced accuracy, Cohen's kappa."""

from collections.abc import Sequence


def auroc(scores: Sequence[float], truth: Sequence[bool]) -> float | None:
    """P(score of a positive > score of a negative), ties counted half; None without both kinds.

    >>> auroc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    positives = sum(truth)
    negatives = len(truth) - positives
    if not positives or not negatives:
        return None
    order = sorted(range(len(scores)), key=scores.__getitem__)
    ranks = [0.0] * len(scores)
    start = 0
    while start < len(order):
        stop = start
        while stop < len(order) and scores[order[stop]] == scores[order[start]]:
            stop += 1
        for i in order[start:stop]:
            ranks[i] = (start + 1 + stop) / 2
        start = stop
    total = sum(rank for rank, positive in zip(ranks, truth, strict=True) if positive)
    return (total - positives * (positives + 1) / 2) / (positives * negatives)


def balanced_accuracy(predicted: Sequence[bool], truth: Sequence[bool]) -> float | None:
    """Mean of sensitivity and specificity; None without both kinds.

    >>> balanced_accuracy([True, False, False, False], [True, True, False, False])
    0.75
    """
    hits = [p for p, t in zip(predicted, truth, strict=True) if t]
    clear = [not p for p, t in zip(predicted, truth, strict=True) if not t]
    return (sum(hits) / len(hits) + sum(clear) / len(clear)) / 2 if hits and clear else None


def kappa(predicted: Sequence[bool], truth: Sequence[bool]) -> float | None:
    """Cohen's kappa; None where chance agreement is certain.

    >>> kappa([True, False, False, False], [True, True, False, False])
    0.5
    """
    n = len(truth)
    if not n:
        return None
    observed = sum(p == t for p, t in zip(predicted, truth, strict=True)) / n
    said, true = sum(predicted) / n, sum(truth) / n
    expected = said * true + (1 - said) * (1 - true)
    return (observed - expected) / (1 - expected) if expected < 1 else None
