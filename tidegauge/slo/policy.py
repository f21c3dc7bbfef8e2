"""Which items are worth a label: calibrated f per score bin and the review probability pi that spends the budget."""

from collections.abc import Mapping, Sequence

DECAY = 0.995
"""What a label's weight loses per 6-hour block."""

PRIOR = 2.0
"""Labels that the prior of a bin is worth."""

AUDIT_SHARE = 0.3
"""Every item is reviewed with at least this share of r, however confident its verdict."""

_STEPS = 60


def decayed(counts: Mapping[int, float], now_block: int) -> float:
    """Counts per 6-hour block, summed with the weight that each has left at `now_block`."""
    return sum(count * DECAY ** max(now_block - block, 0) for block, count in counts.items())


def calibrated(positives: float, labels: float, prior: float) -> float:
    """P(hallucinated) of a score bin from its earlier labels, shrunk to a prior."""
    return min((positives + PRIOR * prior) / (labels + PRIOR), 1.0)


def calibrated_within(own: tuple[float, float], everywhere: tuple[float, float], theta0: float) -> float:
    """f of an intent's bin: (positives, labels) of its own, shrunk to the same bin over all intents, that to theta0."""
    return calibrated(*own, prior=calibrated(*everywhere, prior=theta0))


def labels_per_item(labels_per_day: float, judged_per_day: float) -> float:
    """What the day's label budget buys of an item; above 1 where it buys more than there is."""
    return labels_per_day / judged_per_day if judged_per_day > 0 else labels_per_day


def review_rate(labels_per_day: float, judged_per_day: float, s: float = 1.0) -> float:
    """r: the share of items that is reviewed at s times the day's label budget."""
    return min(1.0, s * labels_per_item(labels_per_day, judged_per_day))


def review_probability(k: float, f: float, r: float) -> float:
    """pi = clip(k * f, 0.3 * r, 1); all or nothing where r says so."""
    if r <= 0 or r >= 1:
        return 0.0 if r <= 0 else 1.0
    return min(max(k * f, AUDIT_SHARE * r), 1.0)


def solve_k(f: Sequence[float], shares: Sequence[float], r: float) -> float:
    """The k for which the mean of pi over bins is r; shares sum to 1. Without shares all f are equal and k = r / f."""
    if r <= 0 or r >= 1:
        return 0.0  # not needed
    least = min((value for value, share in zip(f, shares, strict=True) if share > 0 and value > 0), default=0.0)
    if least == 0:
        return r / max(f) if f and max(f) > 0 else 0.0
    low, high = 0.0, 1 / least
    for _ in range(_STEPS):
        middle = (low + high) / 2
        mean = sum(share * review_probability(middle, value, r) for value, share in zip(f, shares, strict=True))
        low, high = (middle, high) if mean < r else (low, middle)
    return high
